-- question: What did the suspects' addresses, and the programs only they use, do under other principals?
-- why: one thief often holds several credentials; what they share leads from one to the next
-- technique: T1078.004
-- false positives: an office, a VPN or a NAT address is everyone's: the more principals used it before, the less it says
WITH programs AS (
    SELECT DISTINCT user_agent
    FROM events
    WHERE contains(:keys, access_key_id) AND contains(:addresses, source_ip) AND user_agent IS NOT NULL AND event_time BETWEEN :start AND :end
),
traits AS (
    SELECT 'address' AS trait, source_ip AS trait_value, principal, access_key_id, account_id, event_time, event_id, outcome, event_name
    FROM events
    WHERE contains(:addresses, source_ip) AND event_time BETWEEN :start AND :end
    UNION ALL
    SELECT 'program' AS trait, e.user_agent AS trait_value, e.principal, e.access_key_id, e.account_id, e.event_time, e.event_id, e.outcome, e.event_name
    FROM events e
    JOIN programs p ON p.user_agent = e.user_agent
    WHERE e.event_time BETWEEN :start AND :end AND NOT COALESCE(contains(:addresses, e.source_ip), false)
),
past AS (
    SELECT source_ip AS trait_value, principal FROM events
    WHERE event_time >= :baseline_start AND event_time < :baseline_end AND contains(:addresses, source_ip)
    UNION ALL
    SELECT e.user_agent AS trait_value, e.principal FROM events e
    JOIN programs p ON p.user_agent = e.user_agent
    WHERE e.event_time >= :baseline_start AND e.event_time < :baseline_end
),
rarity AS (SELECT trait_value, count(DISTINCT principal) AS principals_before FROM past GROUP BY trait_value)
SELECT
    t.trait, t.trait_value, t.principal, t.account_id, COALESCE(r.principals_before, 0) AS principals_before,
    count(*) AS events, count_if(t.outcome = 'denied') AS denied, min(t.event_time) AS first_seen, max(t.event_time) AS last_seen,
    array_agg(DISTINCT t.event_name ORDER BY t.event_name) AS calls, array_agg(DISTINCT t.access_key_id ORDER BY t.access_key_id) AS access_keys, slice(array_agg(t.event_id ORDER BY t.event_time, t.event_id), 1, 20) AS event_ids
FROM traits t
LEFT JOIN rarity r ON r.trait_value = t.trait_value
WHERE NOT COALESCE(contains(:principals, t.principal), false) AND NOT COALESCE(contains(:keys, t.access_key_id), false) AND contains(:accounts, t.account_id)
GROUP BY t.trait, t.trait_value, t.principal, t.account_id, r.principals_before
ORDER BY principals_before, t.trait, first_seen, t.principal
