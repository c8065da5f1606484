/// Identifies the weights that a process uses.
package struct ModelIdentity: Hashable, Sendable {
    /// BLAKE2b-256 over the configurations and weights of the UNet and the VAE and the LoRA files merged
    /// into them, in lower-case hex.
    package let digest: String
    /// The path that the model was loaded from, for messages.
    package let path: String

    package init(digest: String, path: String) {
        self.digest = digest
        self.path = path
    }

    /// Reads all weights of the UNet and the VAE once to compute the digest.
    ///
    /// - Throws: `InputError` if a file is missing
    package init(of model: Model) throws(InputError) {
        self.init(digest: try model.digest(), path: model.path)
    }
}
