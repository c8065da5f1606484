/// The input of one evaluation of the denoiser.
package struct DenoiserInput: Sendable {
    /// `[n, height, width, channels]`, scaled for the model.
    package var latents: Tensor
    /// Timestep of the noise schedule.
    package var timestep: Float
    /// Prompt embeddings, `[n, tokens, width]`.
    package var context: Tensor
    /// Pooled prompt embeddings, `[n, width]`, for models that use them.
    package var pooled: Tensor?
    /// Size and crop ids for models that use them: n times six numbers, or n times five for a refiner.
    package var timeIDs: [[Float]]?
    /// The guidance scale; only guidance-distilled models use it.
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

/// One evaluation of the denoiser, split into steps so that a device does not idle between two evaluations. When it is
/// created, its input is checked and, on an asynchronous device, uploaded. Then `start` and `finish` are called once
/// each, in this order. On other devices `finish` does everything.
///
/// On a GPU, evaluation n + 1 may be created while evaluation n is computed; it is started when n has finished.
package protocol DenoiserEvaluation: AnyObject {
    /// Enqueues the operations. Does not wait for the device.
    ///
    /// - Throws: `DeviceError`, `ComputationCancelled`
    func start() throws

    /// Waits for the predictions.
    ///
    /// - Returns: `[n, height, width, channels]`, noise or velocity, as the model was trained
    /// - Throws: `DeviceError`, `ComputationCancelled`; on the processor also the errors of reading
    ///   weights, if they are read now
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
