# Grants a user of Kafka the rights that rushgate needs, by a CreateAcls request: `perl acls.pl PORT USER PREFIX`.
# docs/CONNECTIONS.md lists the same rights as commands of kafka-acls.sh. The port is one where the asker may do so.
use strict;
use warnings;
use IO::Socket::INET;

my ($port, $user, $prefix) = @ARGV;
my %type = (topic => 2, group => 3);
my %operation = (read => 3, write => 4, create => 5, alter => 7, describe => 8, describe_configs => 10);
my @rights = (
    (map { ["topic", "$prefix.", $_] } qw(read write create alter describe describe_configs)),
    (map { ["group", $prefix, $_] } qw(read describe)),
);

my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port, Timeout => 5) or die "no broker on $port\n";
$SIG{ALRM} = sub { die "the broker on $port does not answer\n" };
alarm 20;

sub take {
    my ($length) = @_;
    my $bytes = "";
    while (length($bytes) < $length) {
        sysread($socket, $bytes, $length - length($bytes), length($bytes)) or die "the broker hung up\n";
    }
    return $bytes;
}

# Resource type, name, pattern (4: all names that begin so), principal, host, operation, permission (3: allow).
my $entries = join "", map {
    my ($kind, $name, $what) = @$_;
    pack("c n/a* c n/a* n/a* c c", $type{$kind}, $name, 4, "User:$user", "*", $operation{$what}, 3);
} @rights;
# Api key 30, version 1, correlation, client id.
print $socket pack("N/a*", pack("n n N n/a* N", 30, 1, 1, "x-stack", scalar @rights) . $entries);
my $answer = take(unpack("N", take(4)));
# Correlation, throttle time, number of results; each an error code and a text that may be missing.
my (undef, undef, $count, $rest) = unpack("N N N a*", $answer);
$count == @rights or die "the broker answered $count results, not " . scalar(@rights) . "\n";
for my $right (@rights) {
    my ($code, $length) = unpack("s> s>", $rest);
    my $text = $length > 0 ? substr($rest, 4, $length) : "";
    $rest = substr($rest, 4 + ($length > 0 ? $length : 0));
    $code == 0 or die "@$right: error $code $text\n";
}
