import Engine

/// Evaluates units of work somewhere: on a cluster, or in this process. The render loop sees nothing else of it.
///
/// All calls come from one thread, the render thread, and block it. What a picture is made of never depends on who
/// evaluated a unit, or when.
package protocol UnitRenderer: Sendable {
    /// Predicts views, decodes and encodes tiles.
    ///
    /// - Parameters:
    ///   - units: any number
    ///   - onDone: called on this thread with the place in `units` of each unit as it is done, once each; what it
    ///     throws ends the call
    /// - Returns: results in the order of the units
    /// - Throws: `RenderCancelled`, `ClusterUnavailable`, `UnitFailed`, or what `onDone` throws
    func evaluate(_ units: [WorkUnit], onDone: (Int) throws -> Void) throws -> [WorkResult]
}
