# Prints how many live brokers one broker knows, by a Metadata request: `perl brokers.pl <port>`.
# An open port is not readiness: a broker listens before it has joined the cluster.
use strict;
use warnings;
use IO::Socket::INET;

my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $ARGV[0], Timeout => 2) or exit 1;
$SIG{ALRM} = sub { exit 1 };
alarm 3;
# Header (api key 3, version 5, correlation 1, client id), no topics, no topic creation.
my $request = pack("n n N n/a* N C", 3, 5, 1, "x-stack", 0, 0);
print $socket pack("N/a*", $request);
my $head = "";
while (length($head) < 16) {
    sysread($socket, $head, 16 - length($head), length($head)) or exit 1;
}
# Length, correlation, throttle time, number of brokers.
print((unpack("N4", $head))[3], "\n");
