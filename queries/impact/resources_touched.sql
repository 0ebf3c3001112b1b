-- question: Which resources did the suspects change or make?
-- why: each needs its evidence kept before it is put right, and someone who says whether it is as it should be
-- technique: T1578
-- false positives: a resource that a call only mentions, such as the subnet of an instance
WITH acts AS (
    SELECT event_time, event_id, account_id, region, principal, access_key_id, event_name, resources, request, response
    FROM events
    WHERE outcome = 'ok' AND COALESCE(read_only, false) = false AND (contains(:keys, access_key_id) OR contains(:principals, principal))
      AND event_time BETWEEN :start AND :end AND contains(:accounts, account_id) AND contains(:regions, region)
),
named AS (
    SELECT event_time, event_id, account_id, region, principal, access_key_id, event_name, r.arn AS resource
    FROM acts
    CROSS JOIN UNNEST(resources) AS r (arn, resource_account, resource_type)
    UNION
    SELECT event_time, event_id, account_id, region, principal, access_key_id, event_name, found.resource
    FROM acts
    CROSS JOIN UNNEST(regexp_extract_all(
        concat(COALESCE(request, ''), ' ', COALESCE(response, '')),
        '\b(?:i|sg|vol|snap|ami|eni|vpc|subnet|rtb|igw|lt|key)-[0-9a-f]{8,17}\b|arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:\d*:[A-Za-z0-9_+=,.@:/-]+'
    )) AS found (resource)
)
SELECT
    resource, account_id, region, CASE WHEN bool_or(contains(:keys, access_key_id)) THEN 'key' ELSE 'principal' END AS suspect, count(*) AS events, array_agg(DISTINCT event_name ORDER BY event_name) AS calls, array_agg(DISTINCT principal ORDER BY principal) AS principals,
    min(event_time) AS first_seen, max(event_time) AS last_seen, slice(array_agg(event_id ORDER BY event_time, event_id), 1, 20) AS event_ids
FROM named
WHERE resource IS NOT NULL
GROUP BY resource, account_id, region
ORDER BY suspect, first_seen, resource
