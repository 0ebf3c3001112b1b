-- question: Which tampering with logging and detection still stands, and which call puts each back?
-- why: evidence is lost for as long as a trail is off; each act has its inverse and a state that proves it
-- technique: T1685 (formerly T1562)
-- false positives: a pipeline that narrows what it made itself; put_back_event_id is the first later inverse by nobody suspected, whatever it set
WITH inverse (event_source, event_name, what, put_back, verify) AS (
    VALUES
        ('cloudtrail.amazonaws.com', 'StopLogging', 'trail stopped', 'StartLogging', 'GetTrailStatus: IsLogging, LatestDeliveryTime moves'),
        ('cloudtrail.amazonaws.com', 'DeleteTrail', 'trail deleted', 'CreateTrail', 'ListTrails; then PutEventSelectors and StartLogging'),
        ('cloudtrail.amazonaws.com', 'UpdateTrail', 'trail changed', 'UpdateTrail', 'DescribeTrails'),
        ('cloudtrail.amazonaws.com', 'PutEventSelectors', 'trail narrowed', 'PutEventSelectors', 'GetEventSelectors'),
        ('cloudtrail.amazonaws.com', 'PutInsightSelectors', 'trail narrowed', 'PutInsightSelectors', 'GetInsightSelectors'),
        ('cloudtrail.amazonaws.com', 'DeleteEventDataStore', 'event data store deleted', 'RestoreEventDataStore', 'GetEventDataStore'),
        ('cloudtrail.amazonaws.com', 'StopEventDataStoreIngestion', 'event data store stopped', 'StartEventDataStoreIngestion', 'GetEventDataStore'),
        ('s3.amazonaws.com', 'DeleteBucket', 'log bucket deleted', 'CreateBucket', 'GetTrailStatus: LatestDeliveryError'),
        ('s3.amazonaws.com', 'PutBucketPolicy', 'log bucket closed', 'PutBucketPolicy', 'GetTrailStatus: LatestDeliveryError'),
        ('s3.amazonaws.com', 'DeleteBucketPolicy', 'log bucket closed', 'PutBucketPolicy', 'GetTrailStatus: LatestDeliveryError'),
        ('s3.amazonaws.com', 'PutBucketLifecycle', 'logs expire', 'DeleteBucketLifecycle', 'GetBucketLifecycleConfiguration'),
        ('s3.amazonaws.com', 'PutBucketLifecycleConfiguration', 'logs expire', 'DeleteBucketLifecycle', 'GetBucketLifecycleConfiguration'),
        ('s3.amazonaws.com', 'PutBucketEncryption', 'log bucket encrypted', 'PutBucketEncryption', 'GetTrailStatus: LatestDeliveryError'),
        ('s3.amazonaws.com', 'DeleteObjects', 'logs deleted', 'CopyObject', 'validate-logs: digests without their files'),
        ('s3.amazonaws.com', 'PutBucketLogging', 'access logs stopped', 'PutBucketLogging', 'GetBucketLogging'),
        ('kms.amazonaws.com', 'DisableKey', 'key disabled', 'EnableKey', 'DescribeKey: KeyState'),
        ('kms.amazonaws.com', 'ScheduleKeyDeletion', 'key to be deleted', 'CancelKeyDeletion', 'DescribeKey: KeyState; then EnableKey'),
        ('guardduty.amazonaws.com', 'DeleteDetector', 'detection stopped', 'CreateDetector', 'GetDetector'),
        ('guardduty.amazonaws.com', 'UpdateDetector', 'detection changed', 'UpdateDetector', 'GetDetector'),
        ('guardduty.amazonaws.com', 'CreateFilter', 'findings hidden', 'DeleteFilter', 'ListFilters'),
        ('guardduty.amazonaws.com', 'CreateIPSet', 'addresses trusted', 'DeleteIPSet', 'ListIPSets'),
        ('guardduty.amazonaws.com', 'DisassociateFromAdministratorAccount', 'detection parted', 'AcceptAdministratorInvitation', 'GetAdministratorAccount'),
        ('guardduty.amazonaws.com', 'StopMonitoringMembers', 'detection stopped', 'StartMonitoringMembers', 'ListMembers'),
        ('guardduty.amazonaws.com', 'DeletePublishingDestination', 'findings not kept', 'CreatePublishingDestination', 'ListPublishingDestinations'),
        ('config.amazonaws.com', 'StopConfigurationRecorder', 'recorder stopped', 'StartConfigurationRecorder', 'DescribeConfigurationRecorderStatus'),
        ('config.amazonaws.com', 'DeleteConfigurationRecorder', 'recorder deleted', 'PutConfigurationRecorder', 'DescribeConfigurationRecorderStatus'),
        ('config.amazonaws.com', 'DeleteDeliveryChannel', 'recorder cut off', 'PutDeliveryChannel', 'DescribeDeliveryChannelStatus'),
        ('config.amazonaws.com', 'DeleteConfigRule', 'rule deleted', 'PutConfigRule', 'DescribeConfigRules'),
        ('securityhub.amazonaws.com', 'DisableSecurityHub', 'findings stopped', 'EnableSecurityHub', 'DescribeHub'),
        ('securityhub.amazonaws.com', 'BatchUpdateFindings', 'findings hidden', 'BatchUpdateFindings', 'GetFindings: Workflow.Status'),
        ('securityhub.amazonaws.com', 'DeleteInsight', 'insight deleted', 'CreateInsight', 'GetInsights'),
        ('ec2.amazonaws.com', 'DeleteFlowLogs', 'flow logs deleted', 'CreateFlowLogs', 'DescribeFlowLogs'),
        ('logs.amazonaws.com', 'DeleteLogGroup', 'logs deleted', 'CreateLogGroup', 'DescribeLogGroups'),
        ('logs.amazonaws.com', 'DeleteLogStream', 'logs deleted', 'CreateLogStream', 'DescribeLogStreams'),
        ('logs.amazonaws.com', 'PutRetentionPolicy', 'logs expire', 'PutRetentionPolicy', 'DescribeLogGroups: retentionInDays'),
        ('route53resolver.amazonaws.com', 'DeleteResolverQueryLogConfig', 'query logs stopped', 'CreateResolverQueryLogConfig', 'ListResolverQueryLogConfigs'),
        ('wafv2.amazonaws.com', 'DeleteLoggingConfiguration', 'web firewall logs stopped', 'PutLoggingConfiguration', 'GetLoggingConfiguration'),
        ('bedrock.amazonaws.com', 'DeleteModelInvocationLoggingConfiguration', 'model logs stopped', 'PutModelInvocationLoggingConfiguration', 'GetModelInvocationLoggingConfiguration'),
        ('access-analyzer.amazonaws.com', 'DeleteAnalyzer', 'findings stopped', 'CreateAnalyzer', 'ListAnalyzers'),
        ('macie2.amazonaws.com', 'DisableMacie', 'findings stopped', 'EnableMacie', 'GetMacieSession'),
        ('inspector2.amazonaws.com', 'Disable', 'findings stopped', 'Enable', 'BatchGetAccountStatus')
),
acts AS (
    SELECT
        event_time, event_id, account_id, region, principal, access_key_id, source_ip, event_source, event_name, outcome, request,
        -- a trail is named by its name or by its ARN
        regexp_extract(COALESCE(
            json_extract_scalar(request, '$.name'), json_extract_scalar(request, '$.trailName'), json_extract_scalar(request, '$.eventDataStore'),
            json_extract_scalar(request, '$.bucketName'), json_extract_scalar(request, '$.keyId'), json_extract_scalar(request, '$.configurationRecorderName'),
            json_extract_scalar(request, '$.configurationRecorder.name'), json_extract_scalar(request, '$.logGroupName'),
            -- the record of a refused call may leave out what was asked for
            regexp_extract(error_message, ' on resource: (arn:\S+)', 1)
        ), '[^/:]+$') AS target
    FROM events
    WHERE event_time BETWEEN :start AND :end AND contains(:accounts, account_id) AND contains(:regions, region)
      AND event_name IN (SELECT event_name FROM inverse UNION SELECT put_back FROM inverse)
),
tampered AS (
    SELECT a.*, i.what, i.put_back, i.verify
    FROM acts a
    JOIN inverse i ON i.event_source = a.event_source AND i.event_name = a.event_name
    WHERE CASE
        -- switched back on is no impairment; features and frequency may be
        WHEN a.event_name = 'UpdateDetector' THEN COALESCE(json_extract_scalar(a.request, '$.enable'), 'false') <> 'true'
        WHEN a.event_name = 'CreateFilter' THEN a.request IS NULL OR json_extract_scalar(a.request, '$.action') = 'ARCHIVE'
        WHEN a.event_name = 'BatchUpdateFindings' THEN a.request IS NULL OR a.request LIKE '%"SUPPRESSED"%'
        WHEN a.event_name = 'PutBucketLogging' THEN a.request NOT LIKE '%"LoggingEnabled"%'
        -- a log bucket's own name gives it away
        WHEN a.event_source = 's3.amazonaws.com' THEN regexp_like(a.target, '(?i)trail|log|audit|config')
        ELSE true
    END
)
SELECT
    t.event_time, t.event_id, t.account_id, t.region, t.principal, t.access_key_id, t.source_ip, t.event_source, t.event_name, t.what, t.target, t.outcome,
    CASE
        WHEN t.event_name = 'UpdateTrail' THEN array_join(filter(ARRAY[
            CASE WHEN json_extract_scalar(t.request, '$.isMultiRegionTrail') = 'false' THEN 'one Region only' END,
            CASE WHEN json_extract_scalar(t.request, '$.includeGlobalServiceEvents') = 'false' THEN 'no global services' END,
            CASE WHEN json_extract_scalar(t.request, '$.enableLogFileValidation') = 'false' THEN 'no validation' END,
            CASE WHEN json_extract_scalar(t.request, '$.s3BucketName') IS NOT NULL THEN 'another bucket' END,
            CASE WHEN json_extract_scalar(t.request, '$.kmsKeyId') IS NOT NULL THEN 'another key' END
        ], x -> x IS NOT NULL), ', ')
        WHEN t.event_name = 'PutEventSelectors' AND t.request LIKE '%"WriteOnly"%' THEN 'writes only'
        WHEN t.event_name = 'PutBucketPolicy' AND t.request LIKE '%Deny%' THEN 'denies'
    END AS how,
    t.put_back, t.verify,
    CASE WHEN t.outcome <> 'ok' THEN 'tried' WHEN count(p.event_id) > 0 THEN 'put back' ELSE 'stands' END AS state,
    min(p.event_time) AS put_back_at, min_by(p.event_id, ROW(p.event_time, COALESCE(p.event_id, ''))) FILTER (WHERE p.event_time IS NOT NULL) AS put_back_event_id, min_by(p.principal, ROW(p.event_time, COALESCE(p.event_id, ''), COALESCE(p.principal, ''))) FILTER (WHERE p.event_time IS NOT NULL) AS put_back_by,
    CASE WHEN contains(:keys, t.access_key_id) THEN 'key' WHEN contains(:principals, t.principal) THEN 'principal' END AS suspect
FROM tampered t
LEFT JOIN acts p ON p.event_source = t.event_source AND p.event_name = t.put_back AND p.account_id = t.account_id AND p.region = t.region
    AND COALESCE(p.target, '') = COALESCE(t.target, '') AND p.event_time > t.event_time AND p.outcome = 'ok' AND t.outcome = 'ok'
    AND NOT COALESCE(contains(:keys, p.access_key_id), false)
GROUP BY
    t.event_time, t.event_id, t.account_id, t.region, t.principal, t.access_key_id, t.source_ip, t.event_source, t.event_name, t.what, t.target, t.outcome,
    t.request, t.put_back, t.verify
ORDER BY t.event_time, t.event_id
