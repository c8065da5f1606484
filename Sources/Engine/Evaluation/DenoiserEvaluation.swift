/// What one evaluation of the denoiser takes.
package struct DenoiserInput: Sendable {
    /// `[n, height, width, channels]`, scaled for the model.
    package var latents: Tensor
    /// Of the noise schedule.
    package var timestep: Float
    /// `[n, tokens, width]`
    package var context: Tensor
    /// `[n, width]`, for models that use it.
    package var pooled: Tensor?
    /// n times six sizes, for models that use them; n times five for their refiner.
    package var timeIDs: [[Float]]?
    /// The scale, which only models that were distilled with it read.
    package var guidance: Float

    package init(
        latents: Tensor,
        timestep: Float,
        context: Tensor,
        pooled: Tensor?,
        timeIDs: [[Float]]?,
        guidance: Float = 1
    ) {
        (self.latents, self.timestep, self.context) = (latents, timestep, context)
        (self.pooled, self.timeIDs, self.guidance) = (pooled, timeIDs, guidance)
    }
}

/// One evaluation of the denoiser, in steps, so that a device is not idle between two of them. Whoever makes it has checked its
/// input and, on an asynchronous device, uploaded it; then `start` and `finish` are called once each, in this order. Elsewhere
/// `finish` does everything.
///
/// On a GPU, while evaluation n is computed, n + 1 may be made; it is started when n has finished.
package protocol DenoiserEvaluation: AnyObject {
    /// Enqueues the operations. Does not wait for the device.
    ///
    /// - Throws: `DeviceError`, `ComputationCancelled`
    func start() throws

    /// Waits for the predictions.
    ///
    /// - Returns: `[n, height, width, channels]`, noise or velocity, as the model was trained
    /// - Throws: `DeviceError`, `ComputationCancelled`, on a processor also what weights that are read now throw
    func finish() throws -> Tensor
}

extension DenoiserEvaluation {
    /// Starts and finishes.
    package func run() throws -> Tensor {
        try start()
        return try finish()
    }
}

/// An evaluation that is a single step.
package final class WholeEvaluation: DenoiserEvaluation {
    private let body: () throws -> Tensor

    package init(_ body: @escaping () throws -> Tensor) { self.body = body }

    package func start() {}
    package func finish() throws -> Tensor { try body() }
}
