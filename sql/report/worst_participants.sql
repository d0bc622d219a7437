-- Which participants had the worst quality?
-- Grain: one row per participant, at most 50, none of them personal.
-- Promise: of those that exceed a threshold, the ones that exceed most of the four, then those with
--   the lowest MOS; each measure is that of the worse direction.
-- NULL: as in participants.
-- Caveats: the maximum of the jitter may be of the other direction than its mean.
WITH measured AS (
    SELECT
        p.*,
        greatest(
            coalesce(p.inbound_packet_loss_percentage, p.outbound_packet_loss_percentage),
            coalesce(p.outbound_packet_loss_percentage, p.inbound_packet_loss_percentage)
        ) AS packet_loss_percent,
        greatest(
            coalesce(p.inbound_jitter_avg, p.outbound_jitter_avg),
            coalesce(p.outbound_jitter_avg, p.inbound_jitter_avg)
        ) AS jitter_ms,
        greatest(
            coalesce(p.inbound_jitter_max, p.outbound_jitter_max),
            coalesce(p.outbound_jitter_max, p.inbound_jitter_max)
        ) AS jitter_max_ms,
        greatest(
            coalesce(p.inbound_latency_avg, p.outbound_latency_avg),
            coalesce(p.outbound_latency_avg, p.inbound_latency_avg)
        ) AS latency_ms,
        least(
            coalesce(p.inbound_mos, p.outbound_mos), coalesce(p.outbound_mos, p.inbound_mos)
        ) AS mos,
        CASE WHEN p.is_latency_high THEN 1 ELSE 0 END
        + CASE WHEN p.is_jitter_high THEN 1 ELSE 0 END
        + CASE WHEN p.is_loss_high THEN 1 ELSE 0 END
        + CASE WHEN p.is_mos_low THEN 1 ELSE 0 END AS exceeded
    FROM analytics.participants AS p
    WHERE p.created_date >= $from AND p.created_date < $to AND p.is_poor
)
SELECT
    m.conference_sid,
    m.participant_sid,
    m.country_code,
    m.call_type,
    m.participant_region,
    m.call_direction,
    m.packet_loss_percent,
    m.jitter_ms,
    m.jitter_max_ms,
    m.latency_ms,
    m.mos,
    substring(
        CASE WHEN m.is_latency_high THEN ', high latency' ELSE '' END
        || CASE WHEN m.is_jitter_high THEN ', high jitter' ELSE '' END
        || CASE WHEN m.is_loss_high THEN ', high loss' ELSE '' END
        || CASE WHEN m.is_mos_low THEN ', low MOS' ELSE '' END,
        3
    ) AS findings,
    m.join_time,
    m.account_name AS account
FROM measured AS m
ORDER BY
    m.exceeded DESC,
    m.mos ASC NULLS LAST,
    m.packet_loss_percent DESC NULLS LAST,
    m.join_time DESC NULLS LAST,
    m.participant_sid ASC NULLS LAST
LIMIT 50
