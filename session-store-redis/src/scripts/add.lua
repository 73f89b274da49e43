-- Adds an entry to the index of a user's sessions, the sorted set KEYS[1], if that doesn't go over the cap.
--
-- ARGV: when the entry was added | its key | its session's reference | its expiry | now | the cap, or '' for none |
--       for how many milliseconds Redis keeps the index, at least
-- Answers how many entries there are, or 0 if the cap is reached.
--
-- The times of entries are 7 bytes, the highest first. An entry has three members, which `users.rs` explains.

local function members(added, key, reference, expires)
  return 'a' .. added .. key .. reference .. expires,
    'e' .. expires .. key .. reference .. added,
    'k' .. key .. added .. reference .. expires
end

local added, key, reference, expires = unpack(ARGV, 1, 4)
local now, cap, kept = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local replaced = redis.pcall('ZRANGEBYLEX', KEYS[1], '[k' .. key, '(k' .. key .. '\255')
if replaced.err then
  return replaced -- such as that the key holds something else than a sorted set
end

if cap and redis.call('ZCARD', KEYS[1]) / 3 - #replaced >= cap then
  -- Some may have expired, and some be of one session.
  local others, seen = 0, {[reference] = true}
  local from, some = '[a', nil
  repeat
    some = redis.call('ZRANGEBYLEX', KEYS[1], from, '(b', 'LIMIT', 0, 64)
    for _, member in ipairs(some) do
      local other = string.sub(member, 41, 56)
      if not seen[other] and struct.unpack('>I8', '\0' .. string.sub(member, 57)) > now then
        seen[other] = true
        others = others + 1
      end
    end
    if others >= cap then
      return 0
    end
    from = '(' .. (some[#some] or 'b')
  until #some < 64
end

local by_addition, by_expiry, by_key = members(added, key, reference, expires)
local written = redis.pcall('ZADD', KEYS[1], 0, by_addition, 0, by_expiry, 0, by_key)
if type(written) == 'table' then
  return written
end
if replaced[1] and replaced[1] ~= by_key then
  local old = replaced[1]
  redis.call('ZREM', KEYS[1],
    members(string.sub(old, 34, 40), key, string.sub(old, 41, 56), string.sub(old, 57)))
end
local later = string.sub(struct.pack('>I8', now + 1), 2)
for _, member in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], '[e', '(e' .. later, 'LIMIT', 0, 32)) do
  redis.call('ZREM', KEYS[1],
    members(string.sub(member, 57), string.sub(member, 9, 40), string.sub(member, 41, 56), string.sub(member, 2, 8)))
end
if redis.call('PTTL', KEYS[1]) < kept then
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
end
return redis.call('ZCARD', KEYS[1]) / 3
