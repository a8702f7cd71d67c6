//! Rust for the interfaces in `wit/`. Generated; what they do is in `sqlite` and `component_variables`.

wasmtime::component::bindgen!({
    path: "wit",
    world: "parlour:host/capabilities",
    imports: { default: async | trappable },
});
