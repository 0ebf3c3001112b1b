-- question: Did containment hold: what did each suspect still do after it was disabled?
-- why: a call that works after the key is off means another key, another session or a step that failed
-- technique: T1078.004
-- false positives: calls in the first minutes, while IAM spreads the change; no row of the last 15 minutes is no proof, since records come late
WITH steps AS (
    SELECT
        event_time, event_id, account_id, json_extract_scalar(request, '$.accessKeyId') AS key_off,
        CASE WHEN event_name LIKE '%Role%' THEN concat(':role/', json_extract_scalar(request, '$.roleName')) ELSE concat(':user/', json_extract_scalar(request, '$.userName')) END AS principal_off
    FROM events
    WHERE event_source = 'iam.amazonaws.com' AND outcome = 'ok' AND event_time BETWEEN :start AND :end AND contains(:accounts, account_id)
      -- what a suspect switches off is no containment
      AND NOT COALESCE(contains(:keys, access_key_id), false)
      AND (
          event_name IN ('DeleteAccessKey', 'DeleteUser', 'DeleteRole')
          OR (event_name = 'UpdateAccessKey' AND json_extract_scalar(request, '$.status') = 'Inactive')
          OR (event_name IN ('AttachUserPolicy', 'AttachRolePolicy') AND json_extract_scalar(request, '$.policyArn') LIKE '%Deny%')
          OR (event_name IN ('PutUserPolicy', 'PutRolePolicy') AND json_extract_scalar(request, '$.policyDocument') LIKE '%"Deny"%')
      )
),
keys_off AS (
    SELECT key_off, min(event_time) AS off_at, min_by(event_id, ROW(event_time, COALESCE(event_id, ''))) AS off_event_id
    FROM steps
    WHERE contains(:keys, key_off)
    GROUP BY key_off
),
principals_off AS (
    -- a step on one key leaves the user's others alone
    SELECT account_id, principal_off, min(event_time) AS off_at, min_by(event_id, ROW(event_time, COALESCE(event_id, ''))) AS off_event_id
    FROM steps
    WHERE principal_off IS NOT NULL AND key_off IS NULL
    GROUP BY account_id, principal_off
),
acts AS (
    SELECT
        principal, access_key_id, account_id, source_ip, event_time, event_id, event_name, outcome, minted_key,
        -- a path lies between the kind of a principal and its name
        regexp_replace(principal, '^arn:[^:]+:iam::\d*(:(?:user|role)/)(?:.*/)?([^/]+)$', '$1$2') AS short_name,
        COALESCE(contains(:keys, access_key_id), false) OR COALESCE(contains(:principals, principal), false) AS suspect
    FROM events
    WHERE event_time BETWEEN :start AND :end AND contains(:accounts, account_id)
      AND (contains(:keys, access_key_id) OR contains(:principals, principal) OR contains(:addresses, source_ip))
),
after AS (
    SELECT
        a.principal, a.access_key_id, a.account_id, a.suspect, a.source_ip, a.event_time, a.event_id, a.event_name, a.outcome, a.minted_key,
        CASE
            WHEN NOT a.suspect THEN (SELECT min(event_time) FROM steps WHERE contains(:keys, key_off) OR key_off IS NULL)
            ELSE least(COALESCE(k.off_at, p.off_at), COALESCE(p.off_at, k.off_at))
        END AS contained_at,
        CASE WHEN k.off_at <= p.off_at OR p.off_at IS NULL THEN k.off_event_id ELSE p.off_event_id END AS contained_event_id
    FROM acts a
    LEFT JOIN keys_off k ON k.key_off = a.access_key_id
    LEFT JOIN principals_off p ON p.account_id = a.account_id AND p.principal_off = a.short_name
)
SELECT
    principal, access_key_id, account_id,
    CASE
        WHEN NOT suspect THEN 'another holder'
        WHEN contained_at IS NULL THEN 'not contained'
        WHEN count_if(outcome = 'ok' AND event_time > contained_at) > 0 THEN 'did not hold'
        ELSE 'held'
    END AS state,
    contained_at, contained_event_id,
    count_if(outcome = 'ok' AND event_time > contained_at) AS ok_after, count_if(outcome = 'denied' AND event_time > contained_at) AS denied_after,
    max(CASE WHEN outcome = 'ok' THEN event_time END) AS last_ok,
    array_agg(DISTINCT minted_key ORDER BY minted_key) FILTER (WHERE minted_key IS NOT NULL AND event_time > contained_at) AS minted_after,
    array_agg(DISTINCT source_ip ORDER BY source_ip) AS addresses,
    -- the latest first: they decide
    slice(array_agg(event_id ORDER BY event_time DESC, event_id), 1, 20) AS event_ids
FROM after
WHERE suspect OR event_time > contained_at
GROUP BY principal, access_key_id, account_id, suspect, contained_at, contained_event_id
ORDER BY ok_after DESC, state, last_ok DESC, principal, access_key_id
