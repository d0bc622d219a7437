-- Which accounts could not be read when they were asked last?
-- Grain: one row per account that is followed and fails, the 50 that fail longest.
-- Promise: rows of accounts as they are.
-- NULL: as in accounts.
-- Caveats: as of the run that published the copy, not of the period.
SELECT
    a.account_name AS account,
    a.failing_since,
    a.listed_to,
    a.error_class,
    a.last_error
FROM analytics.accounts AS a
WHERE a.is_followed AND a.error_class IS NOT NULL
ORDER BY a.failing_since ASC NULLS LAST, a.account_sid ASC NULLS LAST
LIMIT 50
