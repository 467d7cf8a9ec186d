-- Wireshark dissector of audiostream's classic wire over UDP: a 2-byte little-endian sequence number, then 16-bit
-- little-endian PCM in chunks of 10 ms. Packets are known by their length; the port may be decoded as "audiostream", too.

local classic = Proto("audiostream", "audiostream, classic wire")

local sequence = ProtoField.uint16("audiostream.sequence", "Sequence number")
local chunks = ProtoField.uint32("audiostream.chunks", "Chunks of 10 ms")
local samples = ProtoField.bytes("audiostream.samples", "Samples", base.NONE, "16-bit little-endian PCM")
local uneven = ProtoExpert.new("audiostream.uneven", "The samples are no whole number of chunks",
    expert.group.MALFORMED, expert.severity.WARN)

classic.fields = { sequence, chunks, samples }
classic.experts = { uneven }
classic.prefs.chunk = Pref.uint("Bytes in a chunk", 882,
    "Rate / 100 × channels × 2: 882 is 44.1 kHz, one channel; 1764 two channels; 960 48 kHz")

local HEADER = 2
local MOST_CHUNKS = 15

-- How many chunks follow the header; nil where it is no whole number.
local function count(buffer)
    local body, chunk = buffer:reported_len() - HEADER, classic.prefs.chunk
    if chunk == 0 or body <= 0 or body % chunk ~= 0 then
        return nil
    end
    return math.floor(body / chunk)
end

function classic.dissector(buffer, pinfo, tree)
    if buffer:reported_len() < HEADER then
        return 0
    end
    local number = count(buffer)
    local length = number and number .. " chunks" or buffer:reported_len() - HEADER .. " bytes"
    pinfo.cols.protocol = "audiostream"
    pinfo.cols.info = "Sequence=" .. buffer(0, HEADER):le_uint() .. ", " .. length
    local branch = tree:add(classic, buffer(), "audiostream, classic wire")
    branch:add_le(sequence, buffer(0, HEADER))
    if number then
        branch:add(chunks, number):set_generated()
    else
        branch:add_proto_expert_info(uneven)
    end
    if buffer:captured_len() > HEADER then
        branch:add(samples, buffer(HEADER))
    end
    return buffer:reported_len()
end

-- What looks like it by its length alone, and is of no protocol that Wireshark knows by its port.
classic:register_heuristic("udp", function(buffer, pinfo, tree)
    local number = count(buffer)
    if not number or number > MOST_CHUNKS then
        return false
    end
    classic.dissector(buffer, pinfo, tree)
    return true
end)

DissectorTable.get("udp.port"):add_for_decode_as(classic)
