-- Which accounts have their first conference in one of the two periods?
-- Grain: one row per account.
-- Promise: those of which a change counts all conferences.
-- NULL: SID and name where Twilio gave none.
-- Caveats: they may have had conferences before, which Twilio did not summarize.
SELECT b.account_name AS account, b.first_date
FROM analytics.by_account AS b
WHERE b.first_date >= $prior AND b.first_date < $to
ORDER BY b.first_date ASC, b.account_name ASC NULLS LAST
