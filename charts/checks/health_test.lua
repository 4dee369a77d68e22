-- What docs/gitops/health.lua says of objects as they are.
local script = assert(loadfile("docs/gitops/health.lua"))

local function condition(kind, status, reason, message)
  return { type = kind, status = status, reason = reason, message = message }
end

local function object(generation, status)
  return { metadata = { generation = generation }, status = status }
end

local cases = {
  { "never seen", object(1, nil), "Progressing", "looked at" },
  { "as the API server makes it", object(1, { observedGeneration = -1 }), "Progressing", "looked at" },
  { "of an older spec", object(2, { observedGeneration = 1, conditions = { condition("Ready", "True", "AsDeclared", "") } }), "Progressing", "looked at" },
  { "being built", object(1, { observedGeneration = 1, conditions = { condition("Ready", "False", "InProgress", "Backfilling"), condition("Reconciling", "True", "InProgress", "") } }), "Progressing", "InProgress: Backfilling" },
  { "ready", object(1, { observedGeneration = 1, conditions = { condition("Available", "True", "AsDeclared", ""), condition("Ready", "True", "AsDeclared", "served") } }), "Healthy", "served" },
  { "invalid, though it is served", object(1, { observedGeneration = 1, conditions = { condition("Available", "True", "AsDeclared", ""), condition("Ready", "False", "Invalid", ""), condition("Stalled", "True", "Invalid", "spec.x: y") } }), "Degraded", "Invalid: spec.x: y" },
  { "no longer stalled", object(1, { observedGeneration = 1, conditions = { condition("Stalled", "False", "AsDeclared", ""), condition("Ready", "True", "AsDeclared", "") } }), "Healthy", "" },
  { "paused", object(1, { observedGeneration = 1, conditions = { condition("Ready", "False", "Paused", "spec.paused") } }), "Suspended", "spec.paused" },
  { "unknown", object(1, { observedGeneration = 1, conditions = { condition("Ready", "Unknown", "ReferenceMissing", "rating") } }), "Progressing", "ReferenceMissing: rating" },
}

for _, case in ipairs(cases) do
  local name, given, health, message = case[1], case[2], case[3], case[4]
  obj = given
  local said = script()
  assert(said.status == health, name .. ": expected " .. health .. ", found " .. said.status)
  assert(string.find(said.message, message, 1, true), name .. ": expected «" .. message .. "» in «" .. said.message .. "»")
end
print(#cases .. " objects have the health that they should")
