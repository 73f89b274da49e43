-- Removes the entry with the key ARGV[1] from the index of a user's sessions, the sorted set KEYS[1].
-- Answers how many there were: 1 or 0.

local key = ARGV[1]
local found = redis.pcall('ZRANGEBYLEX', KEYS[1], '[k' .. key, '(k' .. key .. '\255')
if found.err then
  return found -- such as that the key holds something else than a sorted set
end
for _, member in ipairs(found) do
  local added, reference, expires = string.sub(member, 34, 40), string.sub(member, 41, 56), string.sub(member, 57)
  local removed = redis.pcall('ZREM', KEYS[1], member, 'a' .. added .. key .. reference .. expires,
    'e' .. expires .. key .. reference .. added)
  if type(removed) == 'table' then
    return removed -- such as that the server takes no writes
  end
end
return #found
