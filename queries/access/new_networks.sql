-- question: Which networks and programs are new for each principal?
-- why: a stolen credential is first seen from a place, or with a program, that its owner never used
-- technique: T1078.004
-- false positives: travel, a new laptop, a changed VPN; with baseline_events 0 there was nothing to compare with
WITH seen AS (
    SELECT
        events.*,
        -- a foreign session has a name of its own each time; whose role it is stays the same
        regexp_replace(principal, '^(\d{12}:A[A-Z0-9]+):.*$', '$1') AS who
    FROM events
    -- each federated sign-in is a principal of its own, and new every time
    WHERE principal IS NOT NULL AND principal_type NOT IN ('SAMLUser', 'WebIdentityUser', 'AWSService') AND event_time BETWEEN :baseline_start AND :end
),
recent AS (
    SELECT who AS principal, source_network, user_agent_family, account_id, access_key_id, event_time, event_id, outcome, source_ip
    FROM seen
    WHERE event_time BETWEEN :start AND :end AND source_ip_kind IN ('public', 'private') AND invoked_by IS NULL AND contains(:accounts, account_id) AND contains(:regions, region)
),
past AS (
    SELECT who AS principal, source_network, user_agent_family
    FROM seen
    WHERE event_time < :baseline_end
),
networks AS (SELECT DISTINCT principal, source_network FROM past),
agents AS (SELECT DISTINCT principal, user_agent_family FROM past),
known AS (SELECT principal, count(*) AS baseline_events FROM past GROUP BY principal),
users AS (SELECT source_network, count(DISTINCT principal) AS principals FROM past GROUP BY source_network)
SELECT
    r.principal, r.source_network, r.user_agent_family,
    n.principal IS NULL AS new_network, a.principal IS NULL AS new_agent,
    COALESCE(k.baseline_events, 0) AS baseline_events, COALESCE(u.principals, 0) AS others_there_before,
    CASE WHEN bool_or(contains(:keys, r.access_key_id)) THEN 'key' WHEN contains(:principals, r.principal) THEN 'principal' END AS suspect,
    count(*) AS events, count_if(r.outcome = 'denied') AS denied, min(r.event_time) AS first_seen, max(r.event_time) AS last_seen,
    array_agg(DISTINCT r.source_ip ORDER BY r.source_ip) AS addresses, array_agg(DISTINCT r.access_key_id ORDER BY r.access_key_id) AS access_keys,
    slice(array_agg(r.event_id ORDER BY r.event_time, r.event_id), 1, 20) AS event_ids
FROM recent r
LEFT JOIN networks n ON n.principal = r.principal AND n.source_network = r.source_network
LEFT JOIN agents a ON a.principal = r.principal AND a.user_agent_family = r.user_agent_family
LEFT JOIN known k ON k.principal = r.principal
LEFT JOIN users u ON u.source_network = r.source_network
WHERE n.principal IS NULL OR a.principal IS NULL
GROUP BY r.principal, r.source_network, r.user_agent_family, n.principal, a.principal, k.baseline_events, u.principals
ORDER BY suspect, others_there_before, first_seen, r.principal, r.source_network
