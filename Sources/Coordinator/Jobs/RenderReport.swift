import Engine
import Sampling

/// Reports of a render to its caller, on the render's thread.
package enum RenderReport {
    /// An assumption about the model that its files do not settle; one line of text.
    case notice(String)
    /// The fraction of the init image that has been read, 0…1.
    case reading(path: String, share: Double)
    /// The request passed every check that needs no workers.
    case ready(RenderPlan)
    /// Settings that the model's own file suggests; one line of text.
    case suggestion(String)
    /// The workers are ready.
    case begun(RenderPlan, PromptPair)
    /// The folder in which the state of the render is saved.
    case saves(in: String)
    case progress(RenderEvent)
    /// An error ended the render; it can be resumed from this folder.
    case canBeResumed(from: String)
    /// An error ended the render before anything was saved.
    case nothingSaved
}
