  for sku, quantity in pairs(sold) do
    call('HINCRBY', prefix .. 'stock', sku, whole(-quantity))
  end
  call('HINCRBY', state, 'admitted', admitted)
end
