-- Health of every kind of Tress, for Argo CD. Conditions are those of kstatus: Ready is the summary, Stalled says that only a person can help.
local function is(health, message)
  return { status = health, message = message or "" }
end

local status = obj.status or {}
local generation = obj.metadata.generation or 0
if (status.observedGeneration or -1) < generation then
  return is("Progressing", "It has not been looked at yet.")
end

local ready, stalled
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then
    ready = condition
  elseif condition.type == "Stalled" and condition.status == "True" then
    stalled = condition
  end
end

if stalled ~= nil then
  return is("Degraded", stalled.reason .. ": " .. (stalled.message or ""))
end
if ready == nil then
  return is("Progressing", "Nothing is known of it yet.")
end
if ready.status == "True" then
  return is("Healthy", ready.message)
end
if ready.reason == "Paused" then
  return is("Suspended", ready.message)
end
return is("Progressing", ready.reason .. ": " .. (ready.message or ""))
