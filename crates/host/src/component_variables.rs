//! The call of `spin:variables` from a guest.

use std::sync::Arc;

use wasmtime::{
    Result,
    component::{Accessor, HasData},
};

use crate::{
    bindings::spin::variables::variables::{Error, Host, HostWithStore},
    names::ComponentId,
    variables::{LookupError, Variables},
};

/// What an instance knows of variables.
#[derive(Clone)]
pub struct VariablesState {
    pub component: ComponentId,
    pub variables: Arc<Variables>,
}

/// Names [`VariablesState`] to the linker.
pub struct VariablesData;

impl HasData for VariablesData {
    type Data<'a> = &'a mut VariablesState;
}

impl Host for VariablesState {}

impl<T: Send> HostWithStore<T> for VariablesData {
    async fn get(store: &Accessor<T, Self>, name: String) -> Result<Result<String, Error>> {
        Ok(store.with(|mut access| {
            let VariablesState {
                component,
                variables,
            } = access.get();
            variables
                .component(component, &name)
                .map_err(|error| match error {
                    LookupError::InvalidName(text) => Error::InvalidName(text),
                    LookupError::Undefined(text) => Error::Undefined(text),
                })
        }))
    }
}
