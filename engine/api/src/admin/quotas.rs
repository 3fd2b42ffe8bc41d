//! `berth.admin.v1.Quotas`.

use berth_proto::admin::{
    DeleteQuotaRequest, DeleteQuotaResponse, GetQuotaRequest, ListQuotasRequest, ListQuotasResponse, Quota,
    SetQuotaRequest, quotas_server,
};
use berth_runtime::cohorts;
use tonic::{Request, Response, Status};

use super::{check_peer, chosen};
use crate::{
    instances::Instances,
    quotas::{self, Fields},
};

const FIELDS: Fields = Fields { instance: "instance", cohort: "cohort", min: "min", max: "max" };

/// The service.
pub(crate) struct AdminQuotas {
    pub(crate) instances: Instances,
}

#[tonic::async_trait]
impl quotas_server::Quotas for AdminQuotas {
    async fn list_quotas(&self, request: Request<ListQuotasRequest>) -> Result<Response<ListQuotasResponse>, Status> {
        check_peer(&request)?;
        let ListQuotasRequest { instance, cohort } = request.into_inner();
        let only = chosen(&self.instances, &instance)?.map(|instance| &instance.name);
        let mut quotas = quotas::all(&self.instances).await?;
        quotas.retain(|quota| only.is_none_or(|name| *name == quota.instance));
        quotas.retain(|quota| cohort.is_empty() || *quota.cohort == *cohort);
        let engines = self.instances.engines();
        let names = engines.first().map(|engine| engine.cohorts().names().map(str::to_owned).collect());
        let quotas = quotas.iter().map(written).collect();
        Ok(Response::new(ListQuotasResponse { quotas, cohorts: names.unwrap_or_default() }))
    }

    async fn get_quota(&self, request: Request<GetQuotaRequest>) -> Result<Response<Quota>, Status> {
        check_peer(&request)?;
        let GetQuotaRequest { instance, cohort } = request.into_inner();
        let quota = quotas::chosen(&self.instances, FIELDS, &instance, &cohort)?.get().await?;
        Ok(Response::new(written(&quota)))
    }

    async fn set_quota(&self, request: Request<SetQuotaRequest>) -> Result<Response<Quota>, Status> {
        check_peer(&request)?;
        let SetQuotaRequest { instance, cohort, min, max } = request.into_inner();
        let chosen = quotas::chosen(&self.instances, FIELDS, &instance, &cohort)?;
        chosen.set(FIELDS, min.into(), max.into()).await?;
        Ok(Response::new(written(&chosen.get().await?)))
    }

    async fn delete_quota(
        &self,
        request: Request<DeleteQuotaRequest>,
    ) -> Result<Response<DeleteQuotaResponse>, Status> {
        check_peer(&request)?;
        let DeleteQuotaRequest { instance, cohort } = request.into_inner();
        quotas::chosen(&self.instances, FIELDS, &instance, &cohort)?.delete().await?;
        Ok(Response::new(DeleteQuotaResponse {}))
    }
}

fn written(quota: &cohorts::Quota) -> Quota {
    Quota {
        instance: quota.instance.to_string(),
        cohort: quota.cohort.to_string(),
        min: quota.min,
        max: quota.max,
        running: quota.running,
        waiting: quota.waiting,
        cooling: quota.cooling,
    }
}
