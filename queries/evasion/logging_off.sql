-- question: Was logging really off, of which trail, and for how long?
-- why: what happened while a trail was stopped is in no log file; event history has it for 90 days
-- technique: T1685.002 (formerly T1562.008)
-- false positives: a trail replaced by another in one change; other trails that go on logging; a member account cannot stop an organization trail
WITH acts AS (
    SELECT
        event_time, event_id, account_id, region, principal, access_key_id, source_ip, event_name, request,
        -- the trail is named by its name or by its ARN
        CASE WHEN named LIKE 'arn:%' THEN named ELSE concat('arn:aws:cloudtrail:', region, ':', account_id, ':trail/', named) END AS trail
    FROM (
        SELECT *, COALESCE(json_extract_scalar(request, '$.name'), json_extract_scalar(request, '$.trailName')) AS named
        FROM events
        WHERE event_source = 'cloudtrail.amazonaws.com' AND outcome = 'ok'
          AND event_name IN ('StopLogging', 'StartLogging', 'DeleteTrail', 'UpdateTrail', 'PutEventSelectors')
          AND event_time BETWEEN :start AND :end AND contains(:accounts, account_id)
    ) AS logging
),
ordered AS (
    SELECT
        acts.*,
        first_value(CASE WHEN event_name = 'StartLogging' THEN event_time END) IGNORE NULLS
            OVER (PARTITION BY trail ORDER BY event_time, event_id, principal ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS on_again,
        first_value(CASE WHEN event_name = 'StartLogging' THEN event_id END) IGNORE NULLS
            OVER (PARTITION BY trail ORDER BY event_time, event_id, principal ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS on_again_event_id,
        first_value(CASE WHEN event_name = 'StartLogging' THEN principal END) IGNORE NULLS
            OVER (PARTITION BY trail ORDER BY event_time, event_id, principal ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS on_again_by
    FROM acts
)
SELECT
    trail, account_id, region,
    CASE WHEN event_name IN ('StopLogging', 'DeleteTrail') THEN 'off' ELSE 'changed' END AS state,
    event_name, event_time AS off_from, event_id, principal, access_key_id, source_ip,
    CASE WHEN event_name IN ('StopLogging', 'DeleteTrail') THEN on_again END AS off_until,
    CASE WHEN event_name IN ('StopLogging', 'DeleteTrail') THEN on_again_event_id END AS on_again_event_id,
    CASE WHEN event_name IN ('StopLogging', 'DeleteTrail') THEN on_again_by END AS on_again_by,
    CASE WHEN event_name IN ('StopLogging', 'DeleteTrail') THEN date_diff('minute', event_time, on_again) END AS minutes_off,
    request
FROM ordered
WHERE event_name <> 'StartLogging'
ORDER BY off_from, event_id
