-- Is the data sound?
-- Grain: one row per check.
-- Promise: the result of each check when it was made last.
-- NULL: `sample` and `failing_since` where nothing was found.
-- Caveats: a found `fail` keeps the published copy as it was, a `warn` does not. For a `fail` all
--   conferences are looked at once an hour, in between those that changed.
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
