-- What did the checks find?
-- Grain: one row per check.
-- Promise: the results when the checks were made last.
-- NULL: `failing_since` where nothing was found.
-- Caveats: they look at the whole warehouse, not at the period.
SELECT
    k.check_name,
    k.level,
    k.violations,
    k.failing_since,
    k.sentence
FROM analytics.checks AS k
ORDER BY k.violations DESC, k.check_name ASC NULLS LAST
