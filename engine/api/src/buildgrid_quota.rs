//! `build.buildgrid.Quota`, for `bgd quota` and whoever else sets quotas today. The same as `berth.admin.v1.Quotas` in
//! other words.

use berth_proto::buildgrid::{
    DeleteInstanceQuotaRequest, DeleteInstanceQuotaResponse, GetAllInstanceQuotaRequest, GetAllInstanceQuotaResponse,
    GetInstanceQuotaRequest, GetInstanceQuotaResponse, InstanceQuota, PutInstanceQuotaRequest,
    PutInstanceQuotaResponse, quota_server,
};
use berth_runtime::cohorts::Quota;
use tonic::{Request, Response, Status};

use crate::{
    admin::check_peer,
    error::Error,
    instances::Instances,
    quotas::{self, Fields},
};

const FIELDS: Fields = Fields { instance: "instance_name", cohort: "bot_cohort", min: "min_quota", max: "max_quota" };

/// The service.
pub(crate) struct BuildGridQuota {
    pub(crate) instances: Instances,
}

#[tonic::async_trait]
impl quota_server::Quota for BuildGridQuota {
    async fn get_instance_quota(
        &self,
        request: Request<GetInstanceQuotaRequest>,
    ) -> Result<Response<GetInstanceQuotaResponse>, Status> {
        check_peer(&request)?;
        let GetInstanceQuotaRequest { instance_name, bot_cohort } = request.into_inner();
        let quota = quotas::chosen(&self.instances, FIELDS, &instance_name, &bot_cohort)?.get().await?;
        Ok(Response::new(GetInstanceQuotaResponse { instance_quota: Some(written(&quota)) }))
    }

    async fn put_instance_quota(
        &self,
        request: Request<PutInstanceQuotaRequest>,
    ) -> Result<Response<PutInstanceQuotaResponse>, Status> {
        check_peer(&request)?;
        let PutInstanceQuotaRequest { instance_name, bot_cohort, min_quota, max_quota } = request.into_inner();
        let chosen = quotas::chosen(&self.instances, FIELDS, &instance_name, &bot_cohort)?;
        chosen.set(FIELDS, min_quota, max_quota).await?;
        Ok(Response::new(PutInstanceQuotaResponse {}))
    }

    async fn delete_instance_quota(
        &self,
        request: Request<DeleteInstanceQuotaRequest>,
    ) -> Result<Response<DeleteInstanceQuotaResponse>, Status> {
        check_peer(&request)?;
        let DeleteInstanceQuotaRequest { instance_name, bot_cohort } = request.into_inner();
        quotas::chosen(&self.instances, FIELDS, &instance_name, &bot_cohort)?.delete().await?;
        Ok(Response::new(DeleteInstanceQuotaResponse {}))
    }

    async fn get_all_instance_quota(
        &self,
        request: Request<GetAllInstanceQuotaRequest>,
    ) -> Result<Response<GetAllInstanceQuotaResponse>, Status> {
        check_peer(&request)?;
        let name = request.into_inner().instance_name;
        let instance = self.instances.get(FIELDS.instance, &name)?.name.clone();
        let all = quotas::all(&self.instances).await?;
        let own: Vec<_> = all.iter().filter(|quota| quota.instance == instance).map(written).collect();
        if own.is_empty() {
            // As its clients expect it.
            return Err(Error::UnknownName { what: "a quota of instance", name: instance.to_string() }.into());
        }
        Ok(Response::new(GetAllInstanceQuotaResponse { instance_quotas: own }))
    }
}

fn written(quota: &Quota) -> InstanceQuota {
    InstanceQuota {
        instance_name: quota.instance.to_string(),
        bot_cohort: quota.cohort.to_string(),
        min_quota: quota.min.into(),
        max_quota: quota.max.into(),
        current_usage: quota.running.into(),
    }
}
