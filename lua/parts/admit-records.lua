  if again then
    for i = 6, size, 3 do
      local tail = reply[i] == 1 and ARGV[reply[i + 1]]
      if tail then
        reply[i + 1] = head .. tail
      end
    end
  end
  for item in pairs(sold) do
    call('HSET', prefix .. 'stock', ARGV[3 + item], whole(stock[item]))
  end
  call('HINCRBY', state, 'admitted', whole(admitted))
