/// One unit of work: a view to predict, or a tile to decode or encode.
///
/// The sampler creates it, the dispatcher assigns it to a worker, and the worker's evaluator computes it. On the wire
/// it is a `task` message, which carries everything except the embeddings: those are sent to each worker once.
package struct WorkUnit: Sendable {
    package enum Work: Equatable, Sendable {
        /// Predict the noise (or velocity) of a latent.
        case predict(View)
        /// Decode a latent or encode a picture: whole, or one tile as a part of the whole.
        case autoencode(AutoencoderHalf, PicturePart? = nil)
    }

    package var work: Work
    /// A latent `[1, height, width, channels]`; to be predicted, it is scaled for the model and followed by the
    /// channels of a picture, if the model takes one. Or a picture to encode, `[1, height · factor, width · factor,
    /// 3]`, −1…1. A part includes its margins. `omitted` if the worker keeps the tile.
    package var input: Tensor
    /// The tensors that `work` references by digest.
    package var embeddings: [EmbeddingDigest: Embedding]
    /// Name of the unit in messages for people.
    package var name: String
    /// The rows and columns of the latent that a window covers, for the coordinator's statistics; nil for
    /// other work. Not sent to workers.
    package var place: Region?

    package init(
        _ work: Work,
        input: Tensor,
        embeddings: [EmbeddingDigest: Embedding] = [:],
        name: String = ""
    ) {
        (self.work, self.input) = (work, input)
        (self.embeddings, self.name) = (embeddings, name)
    }

    /// How a view is predicted.
    package struct View: Equatable, Sendable {
        /// Timestep of the noise schedule.
        package var timestep: Float
        /// Guidance scale; with a single conditioning, only guidance-distilled models use it.
        package var guidance: Float
        /// With one entry, its prediction is used unchanged. With more, the first is the negative prompt and the others
        /// are the parts of the prompt, combined by classifier-free guidance.
        package var conditioning: [Conditioning]
        /// How many of the input's channels, counted from the end, do not belong to the latent; see `PictureInput`.
        package var pictureChannels: Int

        package init(
            timestep: Float,
            guidance: Float,
            conditioning: [Conditioning],
            pictureChannels: Int = 0
        ) {
            precondition(
                (1...Self.maxConditionings).contains(conditioning.count),
                "\(conditioning.count)"
            )
            (self.timestep, self.guidance) = (timestep, guidance)
            (self.conditioning, self.pictureChannels) = (conditioning, pictureChannels)
        }

        /// Maximum number of picture channels.
        package static let maxPictureChannels = 128
        /// Maximum number of conditionings; a worker caches as many embeddings.
        package static let maxConditionings = 16
    }

    /// What one evaluation of the denoiser is conditioned on.
    package struct Conditioning: Hashable, Sendable {
        /// The prompt's embedding.
        package var embedding: EmbeddingDigest
        /// SDXL's size and crop ids: original height and width, crop top and left, target height and width, in pixels.
        /// A refiner has five: original height and width, crop top and left, aesthetic score; it then evaluates the
        /// view. Nil for models without ids.
        package var timeIDs: [Float]?
        /// Factor of the guidance: 1, or the weight of a part of a prompt. Unused in the first of several (the negative
        /// prompt) and in a single one.
        package var weight: Float
        /// Whether the picture that the network takes in addition to the latent is replaced by zeros.
        package var omitsPicture: Bool

        /// Whether ids belong to a refiner.
        static func areOfRefiner(_ ids: [Float]) -> Bool { ids.count == 5 }

        package init(
            embedding: EmbeddingDigest,
            timeIDs: [Float]? = nil,
            weight: Float = 1,
            omitsPicture: Bool = false
        ) {
            (self.embedding, self.timeIDs) = (embedding, timeIDs)
            (self.weight, self.omitsPicture) = (weight, omitsPicture)
        }
    }

    /// The tile whose activations workers keep between evaluations; nil for other work.
    package var tile: TileID? {
        guard case .autoencode(_, let part?) = work else { return nil }
        return part.tile
    }

    /// Digests of the embeddings that the unit references, in order.
    package var embeddingDigests: [EmbeddingDigest] {
        switch work {
        case .predict(let view): view.conditioning.map(\.embedding)
        case .autoencode(_, let part): part?.attention ?? []
        }
    }

    /// The evaluations of a guided view as separate units, so that several workers can share it; nil for other work.
    /// `View.guided` combines their results.
    package var halves: [WorkUnit]? {
        guard case .predict(let view) = work, view.conditioning.count > 1 else { return nil }
        return view.conditioning.map { conditioning in
            var half = self
            var own = view
            own.conditioning = [conditioning]
            half.work = .predict(own)
            return half
        }
    }
}

extension Tensor {
    /// Stands for an input that is not sent.
    package static let omitted = Tensor(zeros: [1, 0, 0, 0])

    package var isOmitted: Bool { count == 0 }
}

/// A tile's input was omitted, but the tile is not kept; it must be sent again with its input.
package struct TileNotKept: Error, Equatable, CustomStringConvertible {
    package init() {}

    package var description: String { "the tile is not kept" }
}

/// The result of a unit.
package struct WorkResult: Sendable {
    /// A prediction of the shape of the latent, a picture (about −1…1), a latent, or tokens. Nil if
    /// only statistics were requested.
    package let tensor: Tensor?
    /// Moments of each group of each requested norm.
    package let statistics: [Moments]

    package init(tensor: Tensor?, statistics: [Moments] = []) {
        (self.tensor, self.statistics) = (tensor, statistics)
    }

    /// The tensor of a result that always has one.
    package var wholeTensor: Tensor {
        guard let tensor else { preconditionFailure("a result without its tensor") }
        return tensor
    }

    /// Whether it is free of NaN and infinity.
    package var isFinite: Bool {
        (tensor?.isFinite ?? true)
            && statistics.allSatisfy { $0.mean.isFinite && $0.variance.isFinite }
    }
}
