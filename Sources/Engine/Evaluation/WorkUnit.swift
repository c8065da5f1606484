/// One unit of work: a view to predict, or a tile to decode or encode.
///
/// The sampler makes it, the dispatcher assigns it to a worker, and the worker's evaluator computes it. On the
/// wire it is a `task` message, which carries everything but the embeddings: those are sent to every worker once.
package struct WorkUnit: Sendable {
    package enum Work: Equatable, Sendable {
        /// Predict the noise (or velocity) of a latent.
        case predict(View)
        /// Decode a latent or encode a picture: whole, or one tile as a part of the whole.
        case autoencode(AutoencoderHalf, PicturePart? = nil)
    }

    package var work: Work
    /// A latent `[1, height, width, channels]`, where it is predicted scaled for the model and followed by the channels of
    /// a picture, if the model takes one; or a picture to
    /// encode, `[1, height · factor, width · factor, 3]`, −1…1. A part includes its margins. `omitted` where
    /// the worker keeps the tile.
    package var input: Tensor
    /// The tensors that `work` references by digest.
    package var embeddings: [EmbeddingDigest: Embedding]
    /// Its name in messages to people.
    package var name: String
    /// The rows and columns of the latent that a window is cut from, for the coordinator's statistics; nil for anything
    /// else. It is not sent.
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
        /// Of the noise schedule.
        package var timestep: Float
        /// Guidance scale; with a single conditioning only models that were distilled with it use it.
        package var guidance: Float
        /// One entry: the prediction for it, unchanged. More: the negative prompt's and those of the prompt's
        /// parts, combined by classifier-free guidance.
        package var conditioning: [Conditioning]
        /// How many of the input's channels, the last ones, are not the latent's: see `PictureInput`.
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

        /// The most channels that a picture may have.
        package static let maxPictureChannels = 128
        /// As many embeddings a worker caches.
        package static let maxConditionings = 16
    }

    /// What one evaluation of the denoiser is conditioned on.
    package struct Conditioning: Hashable, Sendable {
        /// The prompt's embedding.
        package var embedding: EmbeddingDigest
        /// SDXL's size and crop ids: original height and width, crop top and left, target height and width,
        /// in pixels. Nil for models without them. Those of a refiner, which evaluates such a view, are five: original
        /// height and width, crop top and left, aesthetic score.
        package var timeIDs: [Float]?
        /// By which guidance is multiplied: 1, or that of a part of a prompt. Unused in the first of several, the
        /// negative prompt's, and in a single one.
        package var weight: Float
        /// Whether the picture that the network takes beside the latent is left out: zeros are in its place.
        package var omitsPicture: Bool

        /// Whether ids are those of a refiner.
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

    /// The tile that workers keep between evaluations; nil for other work.
    package var tile: TileID? {
        guard case .autoencode(_, let part?) = work else { return nil }
        return part.tile
    }

    /// The embeddings that it references, in order.
    package var embeddingDigests: [EmbeddingDigest] {
        switch work {
        case .predict(let view): view.conditioning.map(\.embedding)
        case .autoencode(_, let part): part?.attention ?? []
        }
    }

    /// The evaluations of a guided view as separate units, so that workers can share it; nil for
    /// anything else. `View.guided` combines their results.
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
    /// In place of an input that is not sent.
    package static let omitted = Tensor(zeros: [1, 0, 0, 0])

    package var isOmitted: Bool { count == 0 }
}

/// A tile's input was omitted, but the tile is not kept: it is needed again with its input.
package struct TileNotKept: Error, Equatable, CustomStringConvertible {
    package init() {}

    package var description: String { "the tile is not kept" }
}

/// The result of a unit.
package struct WorkResult: Sendable {
    /// A prediction, shaped as the latent; a picture, about −1…1; a latent; or tokens. Nil where only
    /// statistics were asked for.
    package let tensor: Tensor?
    /// For each group of each requested norm.
    package let statistics: [Moments]

    package init(tensor: Tensor?, statistics: [Moments] = []) {
        (self.tensor, self.statistics) = (tensor, statistics)
    }

    /// The tensor of a unit that always has one.
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
