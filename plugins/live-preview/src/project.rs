//! Projects: whose they are, whether they are watched and tracked at all, and the key that trackers show. Of the key
//! only a digest is kept.

use exedra_sdk::{
    keys::{digest, key, prefix},
    prelude::*,
    random,
    text::label,
    time::Timestamp,
};

use crate::{LivePreview, refuse, watch};

/// The longest name in characters.
const NAME_LENGTH: usize = 100;

/// A project as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) active: bool,
    pub(crate) owner_id: String,
    pub(crate) key_digest: String,
    pub(crate) created_at: u64,
    pub(crate) updated_at: u64,
}

/// The body of `POST /api/projects`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// What people call it.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// Whether it may be watched and tracked; yes, when left out.
    #[serde(default = "yes")]
    pub active: bool,
}

fn yes() -> bool {
    true
}

/// The body of `PATCH /api/projects/{id}`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectChange {
    /// What people call it.
    #[schemars(length(min = 1, max = 100))]
    pub name: Option<String>,
    /// Whether it may be watched and tracked.
    pub active: Option<bool>,
}

/// A project, for its owner.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectView {
    /// The id.
    pub id: String,
    /// The id once more, by the name that events use.
    pub project_id: String,
    /// What people call it.
    pub name: String,
    /// Whether it may be watched and tracked.
    pub active: bool,
    /// Whose it is.
    pub owner_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A project and its key, which is never shown again.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectWithKey {
    /// The project.
    #[serde(flatten)]
    pub project: ProjectView,
    /// What trackers send as `X-API-Key`.
    pub api_key: String,
}

/// The query of lists.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PageQuery {
    /// Where to begin: `next` of the page before.
    pub after: Option<String>,
    /// How many at most; 50 when left out, 200 at most.
    pub limit: Option<u32>,
}

impl PageQuery {
    /// An empty one is as good as none.
    pub(crate) fn after(&self) -> Option<&str> {
        self.after.as_deref().filter(|after| !after.is_empty())
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit.unwrap_or(50).clamp(1, 200)
    }
}

/// The answer of `GET /api/projects`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProjectList {
    /// The caller's projects, by id.
    pub projects: Vec<ProjectView>,
    /// Where the next page begins; null when this was the last.
    pub next: Option<String>,
}

impl From<Project> for ProjectView {
    fn from(project: Project) -> Self {
        Self {
            project_id: project.id.clone(),
            id: project.id,
            name: project.name,
            active: project.active,
            owner_id: project.owner_id,
            created_at: Timestamp(project.created_at),
            updated_at: Timestamp(project.updated_at),
        }
    }
}

fn key_of(id: &str) -> String {
    key(&["projects", id])
}

fn new_key() -> Result<(String, String)> {
    let api_key = format!("lp_{}", random::hex(&random::bytes::<24>()?));
    let kept = digest(api_key.as_bytes());
    Ok((api_key, kept))
}

impl LivePreview {
    /// Makes a project; the caller is its owner.
    pub(crate) async fn create_project(&self, me: &User, new: NewProject) -> Result<ProjectWithKey> {
        let (api_key, key_digest) = new_key()?;
        let now = self.hub.now_ms();
        let project = Project {
            id: random::id()?,
            name: label("name", &new.name, NAME_LENGTH)?,
            active: new.active,
            owner_id: me.user_id.clone(),
            key_digest,
            created_at: now,
            updated_at: now,
        };
        let kv = self.hub.kv();
        kv.create(&key_of(&project.id), &project).await?;
        kv.put(&key(&["mine", &me.user_id, &project.id]), &project.id).await?;
        self.projects.inc();
        Ok(ProjectWithKey { project: project.into(), api_key })
    }

    /// Changes a project. Of one that is not active any more, viewers are turned out.
    pub(crate) async fn change_project(
        &self,
        me: &User,
        id: &str,
        change: ProjectChange,
    ) -> Result<ProjectView> {
        let name = change.name.map(|name| label("name", &name, NAME_LENGTH)).transpose()?;
        let project = self.modify_project(me, id, |project| {
            if let Some(name) = &name {
                project.name.clone_from(name);
            }
            project.active = change.active.unwrap_or(project.active);
        });
        let project = project.await?;
        if !project.active {
            self.turn_out(&project)?;
        }
        Ok(project.into())
    }

    /// Makes a new key; the old one is worth nothing from now on.
    pub(crate) async fn renew_key(&self, me: &User, id: &str) -> Result<ProjectWithKey> {
        let (api_key, key_digest) = new_key()?;
        let project =
            self.modify_project(me, id, |project| project.key_digest.clone_from(&key_digest)).await?;
        Ok(ProjectWithKey { project: project.into(), api_key })
    }

    async fn modify_project(&self, me: &User, id: &str, change: impl Fn(&mut Project)) -> Result<Project> {
        let now = self.hub.now_ms();
        let kv = self.hub.kv();
        kv.modify(&key_of(id), |project: Option<Project>| {
            let mut project = project.ok_or_else(refuse::project_not_found)?;
            project.require_owner(Some(me))?;
            change(&mut project);
            project.updated_at = now;
            Ok(project)
        })
        .await
    }

    /// The projects of a user.
    pub(crate) async fn list_projects(&self, me: &User, page: &PageQuery) -> Result<ProjectList> {
        let (kv, limit) = (self.hub.kv(), page.limit());
        let after = page.after().map(|after| key(&["mine", &me.user_id, after]));
        let found = kv.list::<String>(&prefix(&["mine", &me.user_id]), after.as_deref(), limit).await?;
        let next =
            if found.len() == limit as usize { found.last().map(|entry| entry.value.clone()) } else { None };
        let mut projects = Vec::with_capacity(found.len());
        for entry in found {
            if let Some(project) = kv.get::<Project>(&key_of(&entry.value)).await? {
                projects.push(project.value.into());
            }
        }
        Ok(ProjectList { projects, next })
    }

    /// A project.
    pub(crate) async fn project(&self, id: &str) -> Result<Project> {
        let found = self.hub.kv().get::<Project>(&key_of(id)).await?;
        found.map(|found| found.value).ok_or_else(refuse::project_not_found)
    }

    /// A project of one's own.
    pub(crate) async fn own_project(&self, me: Option<&User>, id: &str) -> Result<Project> {
        let project = self.project(id).await?;
        project.require_owner(me)?;
        Ok(project)
    }

    /// A project that a tracker has the key of, and that may be tracked.
    pub(crate) async fn tracked_project(&self, id: &str, request: &Request) -> Result<Project> {
        let shown = request.header("x-api-key").ok_or_else(refuse::invalid_api_key)?;
        let project = self.project(id).await?;
        // Digests are compared, so how long it takes says nothing about the key.
        if digest(shown.as_bytes()) != project.key_digest {
            return Err(refuse::invalid_api_key());
        }
        project.require_active()?;
        Ok(project)
    }

    /// Takes everybody out of a project's rooms, and says why.
    fn turn_out(&self, project: &Project) -> Result<()> {
        let room = self.hub.room(watch::room_of(&project.id));
        let why = refuse::project_inactive();
        room.emit(
            "error",
            &refuse::ErrorOut { message: why.message.clone(), code: why.code_str().to_owned() },
        )?;
        for viewer in room.members::<Value>()? {
            self.forget_viewer(&viewer.user, &project.id)?;
        }
        Ok(())
    }
}

impl Project {
    pub(crate) fn require_owner(&self, me: Option<&User>) -> Result<()> {
        if me.is_some_and(|me| me.user_id == self.owner_id) { Ok(()) } else { Err(refuse::unauthorized()) }
    }

    pub(crate) fn require_active(&self) -> Result<()> {
        if self.active { Ok(()) } else { Err(refuse::project_inactive()) }
    }
}
