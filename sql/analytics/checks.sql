-- Is the data sound?
-- Grain: one row per check.
-- Promise: the latest result of each check.
-- NULL: `sample` and `failing_since` where nothing was found.
-- Caveats: a `fail` check that finds rows keeps the published copy as it was, a `warn` check does
--   not. A `fail` check reads all conferences once an hour, and those that changed in between.
-- Ask: What did the checks find?
--   SELECT check_name, level, violations, sentence, sample
--   FROM analytics.checks
--   WHERE violations > 0;
SELECT
    k.check_name,
    k.level,
    k.sentence,
    k.violations,
    k.sample,
    k.failing_since,
    k.checked_at
FROM conference_insights._checks AS k
