-- Shared: sorted lists of closed, disjoint ranges {low, high} of milliseconds.

local FAR = 9999999999999 -- the year 2286: "and everything that is still to come"

local function ranges_add(list, low, high)
  if not list[1] then return {{low, high}} end
  local out = {}
  for _, r in ipairs(list) do
    if r[2] < low or r[1] > high then
      out[#out + 1] = r
    else
      low, high = math.min(low, r[1]), math.max(high, r[2])
    end
  end
  out[#out + 1] = {low, high}
  table.sort(out, function(a, b) return a[1] < b[1] end)
  return out
end

local function ranges_subtract(list, low, high)
  local out = {}
  for _, r in ipairs(list) do
    if r[2] < low or r[1] > high then
      out[#out + 1] = r
    else
      if r[1] < low then out[#out + 1] = {r[1], low - 1} end
      if r[2] > high then out[#out + 1] = {high + 1, r[2]} end
    end
  end
  return out
end

-- Whether all that is no farther from a moment than `margin` is in one of them.
local function ranges_hold(list, at, margin)
  local low, high = at - margin, at + margin
  if low < 0 then low = 0 end
  if high > FAR then high = FAR end
  for i = 1, #list do
    local r = list[i]
    if r[1] <= low and high <= r[2] then return true end
  end
  return false
end

local function ranges_json(list)
  local out = {}
  for _, r in ipairs(list) do out[#out + 1] = string.format('[%d,%d]', r[1], r[2]) end
  if #out == 1 then return '[' .. out[1] .. ']' end
  return '[' .. table.concat(out, ',') .. ']'
end
