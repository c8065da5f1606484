import Engine

/// Progress of a render.
package enum RenderEvent: Sendable {
    /// The render resumes; this many views had been computed before.
    case resumed(views: Int)
    /// A phase begins; its index, counted from 0.
    case phase(Int, Phase)
    /// A step of the current phase begins, with its number of views.
    case step(Int, views: Int)
    /// Another view of the current step has arrived.
    case view
    /// The positions of the views in the step that has just begun.
    case places(ViewPlaces)
    /// The predictions of a step have been fused.
    case predicted(CleanEstimate)
    /// A phase has finished; its latent, `[1, height, width, channels]`.
    case finished(Int, Tensor)
    /// A picture is about to be encoded for a phase, in this many tiles: the init image, or an enlarged picture.
    case encoding(tiles: Int)
    /// A finished phase is about to be decoded, and enlarged for the next one, in this many tiles.
    case enlarging(tiles: Int)
    /// A latent is about to be decoded, in this many tiles.
    case decoding(tiles: Int)
    /// Part of any of the above: a pass over all tiles begins that measures statistics of the whole picture.
    case measuring(tiles: Int)
    /// The statistics are known, and the pass over all tiles begins that computes the result. Not reported if there is
    /// only one tile.
    case finalPass(tiles: Int)
    /// Another tile has arrived.
    case tile
}
