import Engine
import Foundation
import Protocol

/// One view: a crop of the latent whose noise is to be predicted.
package struct ViewRequest: Sendable {
    /// Place in the step's list of views; only for people.
    package let index: Int
    /// `[1, height, width, channels]`, already scaled for the model.
    package let latent: Tensor
    package let timestep: Float
    /// SDXL's size and crop ids: original height and width, crop's top and left, target height and
    /// width, in pixels. Nil for models without them.
    package let timeIDs: [Float]?
    /// Used only when the job has a negative embedding.
    package let guidance: Float
    /// Which evaluations are wanted; in a job without a negative embedding there is only one.
    package var branch = GuidanceBranch.both
    /// Where it lies in the render; only for people.
    package var place: String?

    package init(
        index: Int,
        latent: Tensor,
        timestep: Float,
        timeIDs: [Float]?,
        guidance: Float
    ) {
        self.index = index
        self.latent = latent
        self.timestep = timestep
        self.timeIDs = timeIDs
        self.guidance = guidance
    }
}

/// A latent to be decoded, or a picture to be encoded, whole.
package struct TileRequest: Sendable {
    /// Place in the list of tiles; only for people.
    package let index: Int
    /// Which way.
    package let half: AutoencoderHalf
    /// A latent `[1, height, width, channels]`, or a picture `[1, height · factor, width · factor, 3]`.
    package let input: Tensor

    package init(index: Int, half: AutoencoderHalf = .decoder, input: Tensor) {
        self.index = index
        self.half = half
        self.input = input
    }
}

/// One tile of a latent or of a picture, to be decoded or encoded as a part of the whole.
package struct PartRequest: Sendable {
    /// Place in the list of tiles; only for people.
    package let index: Int
    /// As of a `TileRequest`, with the part's margins.
    package let input: Tensor
    package let part: PicturePart
    /// Tokens of the picture, for the attention.
    package let keys: PictureKeys
    /// The half that evaluates it.
    package let network: TiledNetwork

    package init(
        index: Int,
        input: Tensor,
        part: PicturePart,
        keys: PictureKeys = PictureKeys(),
        network: TiledNetwork
    ) {
        (self.index, self.input, self.part) = (index, input, part)
        (self.keys, self.network) = (keys, network)
    }
}

/// Tokens of a picture, which go to every worker once.
package struct PictureKeys: Sendable {
    /// Digests, in order.
    package private(set) var digests: [EmbeddingDigest] = []
    /// The tokens, `[1, tokens, width]` each, by digest.
    package private(set) var tensors: [EmbeddingDigest: PromptTensors] = [:]

    package init(_ parts: [Tensor] = []) {
        for part in parts {
            let tensors = PromptTensors(context: part, pooled: nil)
            let digest = tensors.digest
            digests.append(digest)
            self.tensors[digest] = tensors
        }
    }
}

/// What is the same for all views of a picture.
package struct JobDescription: Sendable {
    package let positive: PromptTensors
    /// Nil when guidance is at most 1: then views are evaluated once, with the prompt alone.
    package let negative: PromptTensors?
    /// Pixels per latent pixel along a side, to check decoded tiles.
    package let vaeFactor: Int
    /// To check encoded ones.
    package let latentChannels: Int
    /// How latents and answers travel.
    package let wire: WireFormat

    package init(
        positive: PromptTensors,
        negative: PromptTensors?,
        vaeFactor: Int,
        latentChannels: Int = 4,
        wire: WireFormat = .f32
    ) {
        self.positive = positive
        self.negative = negative
        self.vaeFactor = vaeFactor
        self.latentChannels = latentChannels
        self.wire = wire
    }
}

/// Predicts views, decodes and encodes tiles somewhere. The render loop sees nothing else of the cluster.
///
/// All calls come from one thread, the render thread, and block it. The answers are as the workers
/// sent them, in the order of the requests: what a picture is made of never depends on which worker
/// answered, or when.
package protocol ViewRenderer: Sendable {
    /// Opens a job. Every later call belongs to it until the next `begin` or `end`.
    func begin(_ job: JobDescription) throws

    /// Predicts the noise of the views: uncond + guidance · (text − uncond), or only text when the
    /// job has no negative embedding.
    ///
    /// - Parameters:
    ///   - views: any number
    ///   - onDone: called on this thread with the place in `views` of each view as it arrives, once
    ///     each; what it throws ends the call
    /// - Returns: predictions `[1, height, width, channels]`, in the order of `views`
    /// - Throws: `RenderCancelled`, `ClusterUnavailable`, `UnitFailed`, or what `onDone` throws
    func predict(_ views: [ViewRequest], onDone: (Int) throws -> Void) throws -> [Tensor]

    /// Decodes latents or encodes pictures, whole.
    ///
    /// - Parameters:
    ///   - tiles: any number
    ///   - onDone: as in `predict`
    /// - Returns: pictures `[1, height · factor, width · factor, 3]`, about −1…1, or latents
    ///   `[1, height, width, channels]`, in the order of `tiles`
    /// - Throws: as `predict`
    func evaluate(_ tiles: [TileRequest], onDone: (Int) throws -> Void) throws -> [Tensor]

    /// Decodes or encodes tiles as parts of their picture.
    ///
    /// - Parameters:
    ///   - parts: any number
    ///   - onDone: as in `predict`
    /// - Returns: what each part asks for, in the order of `parts`
    /// - Throws: as `predict`
    func evaluate(_ parts: [PartRequest], onDone: (Int) throws -> Void) throws -> [PartResult]

    /// Closes the job.
    func end()
}

/// The call was ended by `cancel()`. The command line exits with 130.
package struct RenderCancelled: Error, Equatable, CustomStringConvertible {
    package init() {}
    package var description: String { "interrupted" }
}

/// No worker is left to render, and none came in time. The command line exits with 69.
package struct ClusterUnavailable: Error, Equatable, CustomStringConvertible {
    /// What happened, and what to do.
    package let reason: String

    package init(_ reason: String) {
        self.reason = reason
    }

    package var description: String { reason }
}

/// A view or tile that no worker could compute. The command line exits with 70.
package struct UnitFailed: Error, Equatable, CustomStringConvertible {
    /// Which: "view 12 (64×64 at timestep 801, crop 256,0)".
    package let unit: String
    /// What became of each attempt.
    package let reasons: [String]

    package init(unit: String, reasons: [String]) {
        self.unit = unit
        self.reasons = reasons
    }

    package var description: String {
        "\(unit) failed on \(reasons.count) workers: \(reasons.joined(separator: "; "))"
    }
}

/// What one worker has done so far.
package struct WorkerStatistics: Equatable, Sendable {
    package let name: String
    /// Model and vector features of its processor.
    package let processor: String
    package let threads: Int
    package let backend: String
    package let precision: String
    /// Whether it is here and gets work.
    package internal(set) var isActive: Bool
    package internal(set) var views = 0
    package internal(set) var tiles = 0
    /// Time it spent computing, as it says.
    package internal(set) var busy: Duration = .zero
    /// When it last sent anything.
    package internal(set) var lastHeard = Date()
}
