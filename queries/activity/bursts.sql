-- question: What did the suspects do, one line for each burst of activity?
-- why: thousands of events are a few dozen acts; a pause of five minutes parts them
-- technique: T1078.004
-- false positives: two holders of one credential are parted by their network, not by what they do
WITH acts AS (
    SELECT
        event_time, event_id, account_id, region, principal, session_name, access_key_id, source_ip, source_network, event_name, outcome, read_only,
        lag(event_time) OVER (PARTITION BY principal, COALESCE(session_name, access_key_id, ''), source_network ORDER BY event_time, event_id) AS earlier
    FROM events
    WHERE (contains(:keys, access_key_id) OR contains(:principals, principal)) AND event_time BETWEEN :start AND :end
      AND contains(:accounts, account_id) AND contains(:regions, region)
),
parted AS (
    SELECT
        acts.*,
        sum(CASE WHEN earlier IS NULL OR date_diff('second', earlier, event_time) > 300 THEN 1 ELSE 0 END)
            OVER (PARTITION BY principal, COALESCE(session_name, access_key_id, ''), source_network ORDER BY event_time, event_id) AS burst
    FROM acts
)
SELECT
    min(event_time) AS first_seen, max(event_time) AS last_seen, principal, COALESCE(session_name, access_key_id, '') AS session, source_network,
    count(*) AS events, count_if(outcome = 'ok') AS ok, count_if(outcome = 'denied') AS denied, count_if(read_only = false AND outcome = 'ok') AS writes,
    array_agg(DISTINCT event_name ORDER BY event_name) AS calls, array_agg(DISTINCT access_key_id ORDER BY access_key_id) AS access_keys, array_agg(DISTINCT source_ip ORDER BY source_ip) AS addresses,
    array_agg(DISTINCT region ORDER BY region) AS regions, array_agg(DISTINCT account_id ORDER BY account_id) AS accounts,
    slice(array_agg(event_id ORDER BY event_time, event_id), 1, 50) AS event_ids
FROM parted
GROUP BY principal, COALESCE(session_name, access_key_id, ''), source_network, burst
ORDER BY first_seen, principal
