import Engine
import Foundation

extension RenderSession {
    /// Output paths and formats.
    package struct Outputs: Sendable {
        package var picture: String
        /// Whether the picture gets a numbered name if its own name is taken, instead of replacing that file.
        package var isNumbered: Bool
        /// An existing folder, below which folders for the picture may have to be created; nil if none may.
        package var fixedFolder: String?
        /// Bits per channel in pictures.
        package var depth: PixelDepth
        /// Format of the picture; nil to follow its extension.
        package var format: PictureFormat?
        /// Quality of lossy formats, 1 to 100; nil for the default.
        package var quality: Int?
        package var phases: String?
        /// Whether the last phase is saved too, although the picture itself shows it.
        package var savesLastPhase = true
        /// Other files that are read and must not be replaced, with their roles.
        package var kept: [(role: String, path: String)] = []
        package var inputs: String?
        package var dump: String?

        package init(
            picture: String,
            isNumbered: Bool = false,
            depth: PixelDepth = .eight,
            format: PictureFormat? = nil,
            quality: Int? = nil,
            phases: String? = nil,
            inputs: String? = nil,
            dump: String? = nil
        ) {
            (self.picture, self.isNumbered, self.depth) = (picture, isNumbered, depth)
            (self.format, self.quality) = (format, quality)
            self.phases = phases
            self.inputs = inputs
            self.dump = dump
        }

        /// Whether the picture goes to standard output.
        package var isStream: Bool { picture == PictureFormat.standardOutput }

        /// The format of the picture.
        ///
        /// - Throws: `InputError` for an extension of no known format
        func resolvedFormat() throws(InputError) -> PictureFormat {
            try PictureFormat(path: picture, flag: "--output", given: format)
        }

        private static func isSame(_ a: String, _ b: String) -> Bool {
            let paths = [a, b].map { URL(fileURLWithPath: $0).standardizedFileURL.path }
            guard paths[0] != paths[1] else { return true }
            guard let own = FileIdentity(of: a), let other = FileIdentity(of: b) else {
                return false
            }
            return own.isSameFile(as: other)
        }

        /// Rejects a picture that its format cannot hold, and outputs that would replace files that are read.
        ///
        /// - Throws: `InputError`
        package func validate(for session: RenderSession) throws(InputError) {
            let sources =
                session.options.sources + kept + (inputs.map { [("the --inputs file", $0)] } ?? [])
            if !isNumbered, !isStream {
                try OutputPath.check(picture, flag: "--output", isNoneOf: sources)
            }
            if let dump { try OutputPath.check(dump, flag: "--dump", isNoneOf: sources) }
            let size = session.plan.settings.size
            try resolvedFormat().check(
                "--output \(picture)",
                depth: depth,
                quality: quality,
                size: (size.height, size.width),
                text: session.text(digest: "").chunks
            )
        }

        /// Rejects paths that cannot be written to, before hours of rendering. Writes nothing.
        ///
        /// - Throws: `InputError` naming the flag
        package func validate() throws(InputError) {
            let format = try resolvedFormat()
            try format.check("--output \(picture)", depth: depth, quality: quality)
            if !isStream {
                try OutputPath.check(picture, flag: "--output", fixedFolder: fixedFolder)
            }
            if let dump {
                try OutputPath.check(dump, flag: "--dump")
                guard isNumbered || isStream || !Self.isSame(picture, dump) else {
                    throw InputError(
                        "--dump \(dump)",
                        "the picture has the same name",
                        fix: "Choose another"
                    )
                }
            }
            guard let phases else { return }
            // Missing folders are created in the nearest folder that exists, which must be writable.
            var nearest = URL(fileURLWithPath: phases).standardizedFileURL
            while FileKind(nearest.path) == nil, nearest.path != "/" {
                nearest.deleteLastPathComponent()
            }
            guard FileKind(nearest.path) == .folder, access(nearest.path, W_OK | X_OK) == 0 else {
                throw InputError(
                    "--save-phases \(phases)",
                    "\(nearest.path) is not a folder that can be written to",
                    fix: "Choose another"
                )
            }
        }

        /// Creates the folder for the phases' pictures, and the picture's folder if that folder's name has fields.
        ///
        /// - Throws: `OutputError` if it cannot be created
        package func makeFolders() throws {
            let own = URL(fileURLWithPath: picture).deletingLastPathComponent().path
            for folder in [phases, fixedFolder == nil ? nil : own].compactMap(\.self) {
                do {
                    try FileManager.default.createDirectory(
                        atPath: folder,
                        withIntermediateDirectories: true
                    )
                } catch {
                    throw OutputError(
                        folder,
                        "the folder cannot be created: \(error.localizedDescription)"
                    )
                }
            }
        }
    }
}
