"""The Lua that changes a job: record, indexes, counters and event in one atomic step.

A job is a hash with the fields `record` (JSON of Job), `state`, `attempt`, `kind`, `created`, `last` (JSON of the
newest event), `last_id`, and `cancel` (the reason) once somebody asked for it. Events go to one stream for all jobs,
whose ids are reused in the job's own stream, so that an id means the same to every watcher.
"""

_SAY = """
local function say(id, event, keep)
  local event_id = redis.call('XADD', KEYS[3], 'MAXLEN', '~', 20000, '*', 'job', id, 'event', event)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', keep, event_id, 'event', event)
  redis.call('HSET', KEYS[1], 'last', event, 'last_id', event_id)
  return event_id
end

local function count(first)
  for i = first, #ARGV, 2 do
    if string.sub(ARGV[i], 1, 9) == 'exemplar:' then
      redis.call('HSET', KEYS[6], ARGV[i], ARGV[i + 1])
    else
      redis.call('HINCRBYFLOAT', KEYS[6], ARGV[i], ARGV[i + 1])
    end
  end
end
"""

# KEYS job, stream, all-stream, index, index of the new state, counters, idempotency key (or '')
# ARGV id, record, kind, created, event, idempotency ttl s, then counter field / amount pairs
ADD = (
    _SAY
    + """
if KEYS[7] ~= KEYS[1] then
  local known = redis.call('GET', KEYS[7])
  if known then return {'known', known} end
end
if redis.call('EXISTS', KEYS[1]) == 1 then return {'taken', ARGV[1]} end
redis.call('HSET', KEYS[1], 'record', ARGV[2], 'state', 'queued', 'attempt', '1', 'kind', ARGV[3], 'created', ARGV[4])
redis.call('ZADD', KEYS[4], ARGV[4], ARGV[1])
redis.call('ZADD', KEYS[5], ARGV[4], ARGV[1])
if KEYS[7] ~= KEYS[1] then redis.call('SET', KEYS[7], ARGV[1], 'EX', ARGV[6]) end
count(7)
return {'ok', say(ARGV[1], ARGV[5], 10000)}
"""
)

# KEYS job, stream, all-stream, index of the old state, index of the new state, counters, outbox of webhooks
# ARGV id, old state, attempt, new state, new attempt, record, event, when the webhook is due (or ''), then counter
# field / amount pairs
MOVE = (
    _SAY
    + """
local state, attempt = unpack(redis.call('HMGET', KEYS[1], 'state', 'attempt'))
if not state then return {'missing'} end
if attempt ~= ARGV[3] then return {'stale', state, attempt} end
if state ~= ARGV[2] then return {'refused', state, attempt} end
redis.call('HSET', KEYS[1], 'record', ARGV[6], 'state', ARGV[4], 'attempt', ARGV[5])
if ARGV[4] == 'queued' then redis.call('HDEL', KEYS[1], 'cancel') end
local created = redis.call('HGET', KEYS[1], 'created')
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZADD', KEYS[5], created, ARGV[1])
count(9)
if ARGV[8] ~= '' then redis.call('ZADD', KEYS[7], ARGV[8], ARGV[1]) end
return {'ok', say(ARGV[1], ARGV[7], 10000)}
"""
)

# KEYS job, stream, all-stream; ARGV id, attempt, event
EMIT = (
    _SAY
    + """
local state, attempt, cancel = unpack(redis.call('HMGET', KEYS[1], 'state', 'attempt', 'cancel'))
if not state then return {'missing'} end
if attempt ~= ARGV[2] or state ~= 'active' then return {'stale', state, attempt} end
return {'ok', say(ARGV[1], ARGV[3], 10000), cancel or ''}
"""
)

# KEYS job, stream, index, index of its state, counters; ARGV id, state, field of what is now
FORGET = """
if redis.call('HGET', KEYS[1], 'state') ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('HINCRBYFLOAT', KEYS[5], ARGV[3], -1)
return 1
"""
