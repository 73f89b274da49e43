-- Adds an entry to the index of a user's sessions, the hash KEYS[1], if that doesn't go over the cap.
--
-- ARGV: the entry's key | the entry | now | the cap, or '' for none | for how many milliseconds Redis keeps the index
--       beyond its last expiry
-- Answers how many entries there are, or 'full' if the cap is reached.
--
-- An entry is 16 bytes of the session's reference, when it was added, and its expiry.

local now, cap = tonumber(ARGV[3]), tonumber(ARGV[4])
local reference, _, latest = struct.unpack('<c16I8I8', ARGV[2])

local entries = redis.pcall('HGETALL', KEYS[1])
if entries.err then
  return entries -- such as that the key holds something else than a hash
end

local count, expired = 1, {}
local others, seen = 0, {[reference] = true}
for at = 1, #entries, 2 do
  local key, entry = entries[at], entries[at + 1]
  if #entry ~= 32 then
    return redis.error_reply('UNREADABLE an entry of the index is of another kind')
  end
  local other, _, expires_at = struct.unpack('<c16I8I8', entry)
  if expires_at <= now then
    expired[#expired + 1] = key
  else
    if key ~= ARGV[1] then
      count = count + 1
      latest = math.max(latest, expires_at)
    end
    if not seen[other] then
      seen[other] = true
      others = others + 1
    end
  end
end
if cap and others >= cap then
  return 'full'
end

local added = redis.pcall('HSET', KEYS[1], ARGV[1], ARGV[2])
if type(added) == 'table' then
  return added
end
for _, key in ipairs(expired) do
  if key ~= ARGV[1] then
    redis.call('HDEL', KEYS[1], key)
  end
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', latest - now + tonumber(ARGV[5])))
return count
