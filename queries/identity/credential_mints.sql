-- question: How was each credential minted, in every way there is: keys, passwords, roles, sign-ins, federation, machines?
-- why: each way leaves its key in another place of the record, or in none; what is new here is a door that was not used before
-- technique: T1550.001
-- false positives: services and pipelines take roles all day: usual_events counts the same way by the same caller in the baseline
WITH mints AS (
    SELECT
        *,
        CASE
            WHEN event_source = 'sts.amazonaws.com' AND event_name = 'AssumeRole' AND principal_type = 'AWSService' THEN 'role taken by a service'
            WHEN event_source = 'sts.amazonaws.com' AND event_name = 'AssumeRole' AND principal_type = 'AWSAccount' THEN 'role taken from another account'
            WHEN event_source = 'sts.amazonaws.com' AND event_name = 'AssumeRole' THEN 'role taken'
            WHEN event_source = 'sts.amazonaws.com' AND event_name IN ('AssumeRoleWithSAML', 'AssumeRoleWithWebIdentity') THEN 'role taken by federation'
            WHEN event_source = 'sts.amazonaws.com' AND event_name = 'AssumeRoot' THEN 'root session'
            WHEN event_source = 'sts.amazonaws.com' AND event_name = 'GetSessionToken' THEN 'session of a user'
            WHEN event_source = 'sts.amazonaws.com' AND event_name = 'GetFederationToken' THEN 'federation session'
            WHEN event_source = 'iam.amazonaws.com' AND event_name = 'CreateAccessKey' THEN 'long-term key'
            WHEN event_source = 'iam.amazonaws.com' AND event_name IN ('CreateServiceSpecificCredential', 'UploadSSHPublicKey', 'UploadSigningCertificate') THEN 'other long-term credential'
            WHEN event_source = 'iam.amazonaws.com' AND event_name IN ('CreateLoginProfile', 'UpdateLoginProfile') THEN 'console password'
            WHEN event_source = 'signin.amazonaws.com' AND event_name = 'ConsoleLogin' THEN 'console sign-in'
            WHEN event_source = 'signin.amazonaws.com' AND event_name = 'SwitchRole' THEN 'role switched in the console'
            WHEN event_source = 'signin.amazonaws.com' AND event_name = 'GetSigninToken' THEN 'key to console'
            WHEN event_source = 'signin.amazonaws.com' AND event_name IN ('AuthorizeOAuth2Access', 'CreateOAuth2Token') THEN 'console to key'
            WHEN event_source = 'sso.amazonaws.com' AND event_name = 'GetRoleCredentials' THEN 'role through SSO'
            WHEN event_source = 'eks-auth.amazonaws.com' AND event_name = 'AssumeRoleForPodIdentity' THEN 'role of a pod'
            WHEN event_source = 'cognito-identity.amazonaws.com' AND event_name = 'GetCredentialsForIdentity' THEN 'identity pool'
            WHEN event_source = 'rolesanywhere.amazonaws.com' AND event_name = 'CreateSession' THEN 'role by certificate'
        END AS way,
        -- what is not in the columns of every way: the role of SSO, whoever switched to what, the cluster of a pod
        COALESCE(
            minted_principal, json_extract_scalar(additional, '$.SwitchTo'), json_extract_scalar(service_details, '$.role_name'), json_extract_scalar(request, '$.clusterName'),
            json_extract_scalar(request, '$.identityId')
        ) AS minted_for
    FROM events
    -- AssumeRole is a read-only call: a filter on writes would lose every hop
    WHERE outcome = 'ok' AND event_time BETWEEN :baseline_start AND :end AND contains(:accounts, account_id)
),
usual AS (
    SELECT principal, way, COALESCE(minted_for, '') AS usual_for, count(*) AS usual_events
    FROM mints
    WHERE way IS NOT NULL AND event_time < :baseline_end
    GROUP BY principal, way, COALESCE(minted_for, '')
)
SELECT
    m.way, m.event_source, m.event_name, m.principal, m.access_key_id, m.account_id, m.minted_for,
    -- where the call was not made by a person: the instance, function or pod has the name of the session
    CASE WHEN m.principal_type = 'AWSService' THEN json_extract_scalar(m.request, '$.roleSessionName') END AS machine,
    m.way IN ('federation session', 'long-term key', 'other long-term credential', 'console password') AS outlives_the_key,
    m.source_network, COALESCE(u.usual_events, 0) AS usual_events,
    CASE WHEN bool_or(contains(:keys, m.access_key_id)) THEN 'key' WHEN bool_or(contains(:principals, m.principal)) THEN 'principal' END AS suspect,
    count(*) AS events, array_agg(DISTINCT m.minted_key ORDER BY m.minted_key) FILTER (WHERE m.minted_key IS NOT NULL) AS minted_keys, bool_or(m.mfa) AS mfa,
    min(m.event_time) AS first_seen, max(m.event_time) AS last_seen, slice(array_agg(m.event_id ORDER BY m.event_time, m.event_id), 1, 20) AS event_ids
FROM mints m
LEFT JOIN usual u ON u.principal = m.principal AND u.way = m.way AND u.usual_for = COALESCE(m.minted_for, '')
WHERE m.way IS NOT NULL AND m.event_time >= :start
GROUP BY
    m.way, m.event_source, m.event_name, m.principal, m.access_key_id, m.account_id, m.minted_for, m.principal_type,
    CASE WHEN m.principal_type = 'AWSService' THEN json_extract_scalar(m.request, '$.roleSessionName') END, m.source_network, u.usual_events
ORDER BY suspect, usual_events, first_seen, m.way, m.principal, m.access_key_id
