-- Which accounts are these?
-- Grain: one row per account that is followed or has conferences, the 50 with the most.
-- Promise: rows of accounts as they are.
-- NULL: as in accounts.
-- Caveats: of the whole warehouse, not of the period.
SELECT
    a.account_name AS account,
    a.account_sid
FROM analytics.accounts AS a
WHERE a.is_followed OR a.conferences > 0
ORDER BY a.conferences DESC, a.account_name ASC NULLS LAST, a.account_sid ASC NULLS LAST
LIMIT 50
