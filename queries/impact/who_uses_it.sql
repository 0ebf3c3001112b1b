-- question: Who uses the suspect roles and keys legitimately, who opens sessions of the roles, and who would be stopped by containing them?
-- why: containment breaks whatever else lives on the credential, and a denied role hits those who open its sessions; those who run it must know before, not after
-- technique: T1078.004
-- false positives: a thief who was there before the baseline looks like a user: check networks that only one principal has
WITH used AS (
    SELECT
        *,
        contains(:principals, principal) OR contains(:keys, access_key_id) AS calls,
        -- both accounts record an entry from another one, and only the caller's own record tells who it is
        row_number() OVER (
            PARTITION BY COALESCE(minted_key, event_id), minted_principal ORDER BY CASE WHEN principal_type = 'AWSAccount' THEN 1 ELSE 0 END, event_time, event_id, account_id, source_object, source_position
        ) AS time_recorded
    FROM events
    WHERE event_time >= :baseline_start AND event_time < :baseline_end AND outcome = 'ok' AND contains(:accounts, account_id)
      AND (contains(:principals, principal) OR contains(:keys, access_key_id) OR contains(:principals, minted_principal) OR contains(:keys, minted_key))
),
uses AS (
    SELECT
        used.*, way.how,
        CASE WHEN way.how = 'calls' THEN principal ELSE minted_principal END AS whose,
        CASE WHEN way.how = 'calls' THEN principal_type WHEN event_name = 'AssumeRoot' THEN 'Root' ELSE 'AssumedRole' END AS whose_type,
        -- a role of another account is known by its unique id, and the session's name tells nothing of it
        CASE WHEN way.how <> 'calls' THEN regexp_replace(principal, '^(\d{12}:[A-Z0-9]+):.*$', '$1') END AS opened_by,
        CASE WHEN way.how <> 'calls' THEN principal_type END AS opener_type,
        -- on whose word a federated opener is let in
        CASE WHEN way.how <> 'calls' THEN COALESCE(
            CASE WHEN event_name = 'AssumeRoleWithSAML' THEN json_extract_scalar(request, '$.principalArn') END,
            CASE WHEN event_name = 'AssumeRoleWithWebIdentity' THEN json_extract_scalar(response, '$.provider') END,
            CASE WHEN event_source = 'rolesanywhere.amazonaws.com' THEN json_extract_scalar(request, '$.trustAnchorArn') END
        ) END AS provider,
        CASE WHEN way.how = 'calls' THEN session_name ELSE COALESCE(
            json_extract_scalar(request, '$.roleSessionName'), regexp_extract(json_extract_scalar(response, '$.assumedRoleUser.arn'), '[^/]+$')
        ) END AS session
    FROM used
    CROSS JOIN UNNEST(filter(ARRAY[
        CASE WHEN calls THEN 'calls' END,
        -- a user's new key opens no session, and a user's own session is no role's
        CASE WHEN (contains(:principals, minted_principal) OR contains(:keys, minted_key)) AND event_source <> 'iam.amazonaws.com'
            AND event_name NOT IN ('GetSessionToken', 'GetFederationToken') AND time_recorded = 1 THEN 'opens its sessions' END
    ], one -> one IS NOT NULL)) AS way (how)
)
SELECT
    how, whose AS principal, whose_type AS principal_type, opened_by, opener_type, provider,
    -- a session name that differs only in its number is one system
    regexp_replace(session, '[0-9a-f]{8,}|\d+', '*') AS session_pattern,
    slice(array_agg(DISTINCT session ORDER BY session) FILTER (WHERE session IS NOT NULL), 1, 20) AS session_names,
    account_id, source_network, user_agent_family, invoked_by,
    count(*) AS events, count(DISTINCT event_source) AS services, array_agg(DISTINCT event_source ORDER BY event_source) AS service_list,
    count(DISTINCT date_trunc('day', event_time)) AS days, min(hour(event_time)) AS earliest_hour, max(hour(event_time)) AS latest_hour,
    min(event_time) AS first_seen, max(event_time) AS last_seen,
    slice(array_agg(event_id ORDER BY event_time, event_id), 1, 20) AS event_ids
FROM uses
GROUP BY
    how, whose, whose_type, opened_by, opener_type, provider, regexp_replace(session, '[0-9a-f]{8,}|\d+', '*'), account_id, source_network, user_agent_family, invoked_by
-- who opens the sessions of a role stands first
ORDER BY how DESC, events DESC, principal, opened_by, session_pattern
