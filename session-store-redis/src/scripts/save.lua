-- Puts a record under KEYS[1], if what is there is what the caller expects.
--
-- ARGV: the record | now | for how many milliseconds Redis keeps it | the version that is expected, or '' for none
-- Answers 1 (saved), 0 (missing), or the bytes that are in the way.
--
-- A record begins with 'S', 1 (the format), its kind, 16 bytes of version, its expiry and another time.

local header = redis.pcall('GETRANGE', KEYS[1], 0, 34)
if type(header) == 'table' then
  return header -- an error, such as that the key holds something else than a string
end

local is_missing = true
if #header < 35 or string.sub(header, 1, 2) ~= 'S\2' then
  -- Nothing, or bytes that only the caller can judge.
  local unreadable = redis.call('GET', KEYS[1])
  if unreadable then
    return unreadable
  end
else
  local version, expires_at = struct.unpack('<c16I8', header, 4)
  is_missing = expires_at <= tonumber(ARGV[2])
  if not is_missing and version ~= ARGV[4] then
    return redis.call('GET', KEYS[1])
  end
end
if is_missing and ARGV[4] ~= '' then
  return 0
end

if string.byte(ARGV[1], 3) ~= 0 then
  -- A tombstone: sessions have to end even where memory is used up. Redis refuses to let a script take more memory
  -- only until the script has written something, and a deletion is never refused for lack of memory.
  local removed = redis.pcall('DEL', KEYS[1])
  if type(removed) == 'table' then
    return removed
  end
end
local saved = redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
if saved.err then
  return saved
end
return 1
