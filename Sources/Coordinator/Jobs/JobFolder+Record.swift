import Engine
import Foundation

extension JobFolder {
    /// A picture's place in a series.
    package struct SeriesPlace: Codable, Equatable, Sendable {
        /// The arguments of the whole series.
        package let arguments: [String]
        /// Index of the picture, counted from 0.
        package let index: Int
        /// Whether that picture is finished: the job then represents only those after it, until the next one has its
        /// own. Nil in jobs of earlier builds.
        package fileprivate(set) var isFinished: Bool?
        /// When the series was started, in seconds since 1970.
        package let started: Double

        package init(arguments: [String], index: Int, started: Double) {
            (self.arguments, self.index, self.started) = (arguments, index, started)
        }
    }

    /// How a render was started: `job.json`.
    package struct Record: Codable, Equatable, Sendable {
        /// Version of the file format; any other is rejected.
        private var format = Record.format
        /// The subcommand that renders.
        package let command: String
        /// Its arguments on the command line.
        package let arguments: [String]
        /// The working directory, which relative paths start from.
        package let directory: String
        /// The model's identity.
        package let digest: String
        /// Everything that decides the picture, as JSON.
        package let settings: String
        /// What the models' own files suggested, by model path (`SuggestionMemory`); nil in jobs of earlier builds.
        package let suggestions: [String: String]?
        /// The series that the picture belongs to.
        package private(set) var series: SeriesPlace?

        private static let format = 1

        private enum CodingKeys: String, CodingKey {
            case format, command, arguments, directory, settings, suggestions, series
            case digest = "model-digest"
        }

        package init(
            command: String,
            arguments: [String],
            directory: String,
            digest: String,
            settings: String,
            suggestions: [String: String]? = nil,
            series: SeriesPlace? = nil
        ) {
            (self.command, self.arguments, self.directory) = (command, arguments, directory)
            (self.digest, self.settings, self.series) = (digest, settings, series)
            self.suggestions = suggestions
        }

        /// The record of a picture whose series went on without it.
        var alone: Record {
            var record = self
            record.series = nil
            return record
        }

        /// The record once its picture is finished, for the rest of its series; nil outside a series.
        var finished: Record? {
            var record = self
            record.series?.isFinished = true
            return record.series == nil ? nil : record
        }

        /// Reads a record from a file.
        ///
        /// - Throws: `InputError` naming the field that is missing or wrong
        init(file: String) throws(InputError) {
            func damaged(_ problem: String) -> InputError {
                InputError(file, problem, fix: "The job cannot be resumed: start over")
            }
            let bytes: [UInt8]
            do throws(InputError) {
                bytes = try InputFile.bytes(file, limit: 1 << 20)
            } catch {
                throw error.isSystemLimit ? error : damaged(error.problem)
            }
            do {
                self = try JSONDecoder().decode(Record.self, from: Data(bytes))
            } catch DecodingError.keyNotFound(let key, _) {
                throw damaged("'\(key.stringValue)' is missing")
            } catch DecodingError.typeMismatch(_, let context),
                DecodingError.valueNotFound(_, let context)
            {
                let field = context.codingPath.first?.stringValue
                throw damaged(
                    field.map { "'\($0)' has the wrong type" } ?? "it is not a JSON object"
                )
            } catch {
                throw damaged("it is not valid JSON")
            }
            guard format == Self.format else {
                throw damaged("it is not a job of this version of Tessera")
            }
        }

        /// Replaces the file atomically.
        ///
        /// - Throws: `OutputError` if the disk is full or broken
        func write(to path: String) throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
            let file = try TemporaryFile(for: path)
            try file.write(Array(try encoder.encode(self)))
            try file.commit()
        }

        /// Job id in the state file.
        var identity: String {
            let hash = FileHash()
            for text in [digest, settings] { hash.add(text: text) }
            return hash.finish()
        }
    }
}
