-- Changes version, expiry and last activity of the live record under KEYS[1] where they lie: bytes 3 to 35.
--
-- ARGV: the version that is expected | the 32 bytes that take the place | now | for how many milliseconds Redis keeps
--       the record if its expiry moves
-- Answers 1 (saved), 0 (missing), or the bytes that are in the way.

local header = redis.pcall('GETRANGE', KEYS[1], 0, 34)
if type(header) == 'table' then
  return header -- an error, such as that the key holds something else than a string
end
if #header < 35 or string.sub(header, 1, 2) ~= 'S\2' then
  -- Nothing, or bytes that only the caller can judge.
  return redis.call('GET', KEYS[1]) or 0
end

local version, expires_at, active_at = struct.unpack('<c16I8I8', header, 4)
local is_live = string.byte(header, 3) == 0
if not is_live or expires_at <= tonumber(ARGV[3]) then
  return 0
end
if version ~= ARGV[1] then
  return redis.call('GET', KEYS[1])
end

local new_version, new_expires_at, new_active_at = struct.unpack('<c16I8I8', ARGV[2])
local fields = struct.pack('<c16I8I8', new_version, math.max(expires_at, new_expires_at),
  math.max(active_at, new_active_at))
local written = redis.pcall('SETRANGE', KEYS[1], 3, fields)
if type(written) == 'table' then
  return written
end
if new_expires_at > expires_at then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return 1
