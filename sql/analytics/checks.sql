-- Is the data sound?
-- Grain: one row per check.
-- Promise: the latest result of each check.
-- NULL: `sample` and `failing_since` where nothing was found.
-- Caveats: a run ends with 65 if a `fail` check finds rows, and publishes no copy; a `warn` check
--   is only told. In a server checks read all conferences; in a file, a `fail` check reads all once
--   a day (UTC), and those that changed in between. A copy has the results of when it was
--   made, none of a check that failed since: `conference-insights status` shows the latest. What each
--   means, and what to do, is in sql/README.md, Checks.
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
