-- Where were conferences mixed, and which region was requested?
-- Grain: one row per account, day of creation, requested region and mixer region.
-- Promise: every conference in the warehouse counts once, those without a mismatch included.
-- NULL: `mixer_region_requested` if none was requested, which is no mismatch; `mixer_region` if
--   Twilio gave none; `created_date` without creation time.
-- Caveats: share of mismatches: sum of `conferences` where is_region_mismatch / sum(conferences).
-- Ask: Which requested regions were not honoured?
--   SELECT mixer_region_requested, mixer_region, sum(conferences) AS conferences
--   FROM analytics.region_mismatch
--   WHERE is_region_mismatch
--   GROUP BY mixer_region_requested, mixer_region
--   ORDER BY conferences DESC;
-- Ask: In which regions are conferences mixed?
--   SELECT mixer_region, sum(conferences) AS conferences
--   FROM analytics.region_mismatch
--   GROUP BY mixer_region
--   ORDER BY conferences DESC;
SELECT
    c.account_sid,
    c.account_name,
    c.created_date,
    c.mixer_region_requested,
    c.mixer_region,
    c.is_region_mismatch,
    CAST(count(*) AS BIGINT) AS conferences,
    CAST(sum(CASE WHEN c.completeness = 'final' THEN 1 ELSE 0 END) AS BIGINT) AS final,
    CAST(sum(c.duration_seconds) AS BIGINT) AS total_seconds
FROM analytics.conferences AS c
GROUP BY
    c.account_sid, c.account_name, c.created_date, c.mixer_region_requested, c.mixer_region,
    c.is_region_mismatch
