//! What a write that names a read must say.

use prost_reflect::{MethodDescriptor, ServiceDescriptor};

use super::Checker;
use super::options::{self, Effect, MethodOptions};

impl Checker {
    /// Checks that the read is there, of the same partner and a read.
    pub(super) fn reconcile(&mut self, method: &MethodDescriptor, options: &MethodOptions) {
        let name = &options.reconcile;
        if name.is_empty() {
            return;
        }
        if options.effect != Some(Effect::WriteOnce) {
            self.find_method(method, "`reconcile` is for a WRITE_ONCE call");
        }
        let partner = options::partner(method.parent_service());
        let is_same_partner = |service: &ServiceDescriptor| options::partner(service) == partner;
        let is_named = |read: &MethodDescriptor| {
            format!("{}/{}", read.parent_service().full_name(), read.name()) == *name
        };
        let services = method.parent_pool().services().filter(is_same_partner);
        let mut methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
        let is_read = |read: &MethodDescriptor| {
            options::method(read).effect == Some(Effect::Read) && !read.is_server_streaming()
        };
        if !methods.find(is_named).is_some_and(|read| is_read(&read)) {
            let problem = format!("its `reconcile` {name:?} is no unary READ of the same partner");
            self.find_method(method, &problem);
        }
    }
}
