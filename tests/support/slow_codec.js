function decodeUplink(input) {
  var x = 0;
  for (var i = 0; i < 450000; i++) x = (x * 31 + i) & 65535;
  return { data: { occupied: input.bytes[0] === 1, x: x } };
}
