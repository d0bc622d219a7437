-- Were conferences mixed in the requested region?
-- Grain: one row per requested region and mixer region.
-- Promise: sums of region_mismatch over days and accounts.
-- NULL: `requested` if no region was requested, which is no mismatch; `mixed_in` if none is known.
-- Caveats: share of mismatches: sum of `conferences` where is_elsewhere / sum(conferences).
SELECT
    r.mixer_region_requested AS requested,
    r.mixer_region AS mixed_in,
    r.is_region_mismatch AS is_elsewhere,
    sum(r.conferences) AS conferences,
    100.0 * sum(r.conferences) / sum(sum(r.conferences)) OVER () AS percent
FROM analytics.region_mismatch AS r
WHERE r.created_date >= $from AND r.created_date < $to
GROUP BY r.mixer_region_requested, r.mixer_region, r.is_region_mismatch
ORDER BY conferences DESC, requested ASC NULLS LAST, mixed_in ASC NULLS LAST
